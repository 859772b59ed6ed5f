"""What holds of the loop whatever it is given."""

import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import BackendError, DiskFullError, FrameError, NotFiniteError, SourceError
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.loop.config import LoopConfig
from runtime.loop.loop import Loop, NamedSink
from runtime.result import Captured, Result, Status
from runtime.segmenter import Segmentation
from tests.runtime.loop.doubles import Do, FakeServed, Frame, Image, RecordingSink, Rig, Step, labels_of, picture


def slowly(frame: Image) -> Segmentation:
    time.sleep(0.002)
    return labels_of(frame)


def nan(frame: Image) -> Segmentation:
    return Segmentation(frame[..., 0].copy(), np.zeros_like(frame[..., 0]), 0, 0)


BAD_FRAMES = [FrameError("corrupt"), SourceError("unplugged"), Frame(-2, jump_ms=-60_000), Frame(-3, jump_ms=60_000)]
STEPS = st.lists(st.sampled_from(["frame", "frame", "frame", "stuck", "pause", *BAD_FRAMES]), max_size=25)
ANSWERS = st.dictionaries(
    st.integers(1, 20), st.sampled_from([slowly, nan, BackendError("lost"), NotFiniteError("NaN")]), max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, ANSWERS, st.sampled_from([0.0, 0.003]), st.booleans())
def test_every_frame_has_an_end_and_nothing_stale_is_delivered(
    steps: list[str | Step],
    answers: dict[int, Exception | Callable[[Image], Segmentation]],
    write_s: float,
    is_paced: bool,
) -> None:
    served = FakeServed(answers)
    slow = RecordingSink(lambda result: time.sleep(write_s))
    rig = Rig(openings(steps), served, others=[NamedSink("slow", slow)], times={"max_restarts": 100}, is_paced=is_paced)
    counters = rig.run()
    assert counters.num_captured == sum(claimed_ns == true_ns for claimed_ns, true_ns in rig.taken_ns.items())
    assert counters.num_refused <= sum(isinstance(step, FrameError | Frame) for step in steps)
    # `slow` may miss some, the recorder as well where it is not waited for.
    for sink in (rig.sink, slow):
        numbers = [seen.number for seen in sink.seen]
        assert numbers == sorted(set(numbers))
    assert rig.loop._outlets[1].num_written == len(slow.seen)
    assert rig.loop._outlets[1].num_written + rig.loop._outlets[1].num_missed == counters.num_published


def openings(steps: Sequence[str | Step]) -> list[Sequence[Step] | Exception]:
    """One source after another, each lost where the script says so."""
    # A first good frame, before which no time is wrong; and spare openings, because of wrong clocks.
    scripts: list[list[Step]] = [[Frame(0)]]
    for number, step in enumerate(steps, start=1):
        match step:
            case "frame":
                scripts[-1].append(Frame(number))
            case "stuck":
                scripts[-1].append(Frame(number, shows=0))
            case "pause":
                scripts[-1].append(Do(lambda: time.sleep(0.001)))
            case SourceError():
                scripts[-1].append(step)
                scripts.append([])
            case Frame(jump_ms=jump_ms):
                scripts[-1].append(Frame(number, jump_ms=jump_ms))
            case FrameError():
                scripts[-1].append(step)
    return [*scripts, [], [], []]


def test_drops_are_counted_where_frames_come_faster_than_they_are_segmented() -> None:
    script: list[Step] = []
    for number in range(60):
        script += [Frame(number), Do(lambda: time.sleep(0.0005))]
    rig = Rig([script], FakeServed(always=slowly), is_paced=False)
    counters = rig.run()
    assert counters.num_dropped > 10
    assert counters.num_captured == 60
    assert any(seen.reasons & Reason.FRAMES_DROPPED for seen in rig.sink.seen)
    # Each is the newest there was: what is delivered skips what was overtaken.
    assert [seen.number for seen in rig.sink.seen][-1] == 59


def test_bundle_may_change_between_frames_and_results_say_which_it_was() -> None:
    class Swapping(FakeServed):
        def swap_if_due(self, health: Health) -> None:
            if self.num_calls == 2:
                self.bundle_id, self.num_swaps = "another", 1

    rig = Rig([[Frame(number) for number in range(4)]], Swapping())
    counters = rig.run()
    assert [seen.result.bundle_id for seen in rig.sink.seen] == ["bundle", "bundle", "another", "another"]
    assert rig.sink.told[-1].bundle_id == "another"
    assert counters.num_swaps == 1


def test_loop_that_was_stopped_before_it_ran_tells_so_and_ends() -> None:
    rig = Rig([[Frame(0)]])
    rig.loop.stop()
    rig.run()
    assert rig.sink.story() == ["STARTING", "STARTING|STOPPED", "closed"]


class EndlessSource:
    """Frames without end, each as soon as it is asked for."""

    is_finished = False

    def __init__(self) -> None:
        self._pictures = [picture(number, (64, 128)) for number in range(3)]
        self._number = 0

    def read(self, into: Image, timeout_s: float) -> Captured:
        time.sleep(0.001)
        self._number += 1
        np.copyto(into, self._pictures[self._number % 3])
        return Captured(self._number, time.monotonic_ns(), "frame")

    def close(self) -> None:
        pass


def test_memory_stays_flat_after_the_first_frames() -> None:
    traced: list[int] = []

    class Counting:
        num_written = 0

        def write(self, result: Result) -> None:
            self.num_written += 1
            if self.num_written in (100, 500):
                traced.append(tracemalloc.get_traced_memory()[0])
            if self.num_written == 500:
                loop.stop()

        def tell(self, status: Status) -> None:
            pass

        def close(self) -> None:
            pass

    segmentations = [labels_of(picture(number, (64, 128))) for number in range(3)]
    served = FakeServed(frame_hw=(64, 128))
    served._always = lambda frame: segmentations[served.num_calls % 3]
    monitor = Monitor(HealthConfig(), time.monotonic_ns)
    # Events that are noted again and again must not pile up either.
    sinks = [NamedSink("counting", Counting()), NamedSink("other", FullSink())]
    loop = Loop(served, EndlessSource, sinks, monitor, LoopConfig(heartbeat_ms=5))
    tracemalloc.start()
    try:
        loop.run()
    finally:
        tracemalloc.stop()
    # One frame is 24 kB, its labels 8 kB.
    assert abs(traced[1] - traced[0]) < 8_000


class FullSink:
    def write(self, result: Result) -> None:
        raise DiskFullError("0 bytes left")

    def tell(self, status: Status) -> None:
        pass

    def close(self) -> None:
        pass
