"""What goes wrong in a vehicle, and what whoever reads the labels saw of it, in order."""

from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import pytest

from runtime.errors import BackendError, DiskFullError, FrameError, NotFiniteError, SinkError, SourceError
from runtime.health.reasons import Reason
from runtime.loop.loop import NamedSink
from runtime.result import Captured, Result
from runtime.segmenter import Segmentation
from tests.runtime.loop.doubles import (
    PATIENCE_S,
    Do,
    FakeServed,
    Frame,
    HangingSink,
    Image,
    RecordingSink,
    Rig,
    ScriptedSource,
    When,
    adds_up,
    labels_of,
    until,
)


def test_frames_of_a_sound_camera_are_all_delivered() -> None:
    rig = Rig([[Frame(number) for number in range(5)]])
    counters = rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, 1, 2, 3, 4, "STOPPED", "closed"]
    assert counters.num_captured == counters.num_published == 5


def test_camera_dies_and_returns() -> None:
    rig = Rig([[Frame(0), Frame(1), SourceError("unplugged")], SourceError("no such device"), []])
    rig.openings[2] = [When(lambda: rig.sink.knows(Reason.SOURCE_LOST)), Frame(0), Frame(1)]
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, 1, "SOURCE_LOST", "OK", 0, 1, "STOPPED", "closed"]


def test_camera_that_says_nothing_is_told_as_such() -> None:
    rig = Rig([[]], health={"no_frames_ms": 30})
    rig.openings[0] = [Frame(0), When(lambda: rig.sink.knows(Reason.NO_FRAMES)), Frame(1)]
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "NO_FRAMES", "OK", 1, "STOPPED", "closed"]


@pytest.mark.parametrize("fault", ["the picture is corrupt", "the frame is (4, 4, 3), expected (6, 8, 3)"])
def test_frame_that_is_corrupt_or_of_another_size_is_refused_and_named(fault: str) -> None:
    rig = Rig([[]])
    rig.openings[0] = [
        Frame(0),
        FrameError(fault),
        When(lambda: rig.sink.knows(Reason.FRAMES_REFUSED)),
        Frame(2),
    ]
    counters = rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "FRAMES_REFUSED", 2, "FRAMES_REFUSED|STOPPED", "closed"]
    assert rig.sink.seen[-1].result.health.details == (fault,)
    assert (counters.num_refused, counters.num_lost) == (1, 1)


def test_engine_that_raises_is_opened_again_until_it_works() -> None:
    served = FakeServed({2: BackendError("device lost")}, on_restart=[BackendError("still lost"), None])
    rig = Rig([[]], served)
    rig.openings[0] = [Frame(0), Frame(1), When(lambda: rig.sink.knows(Reason.ENGINE_FAILED)), Frame(2), Frame(3)]
    counters = rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "ENGINE_FAILED", "OK", 2, 3, "STOPPED", "closed"]
    assert (counters.num_restarts, counters.num_withheld) == (2, 1)


def test_engine_that_never_works_again_ends_the_loop() -> None:
    def fail(frame: Image) -> Segmentation:
        raise BackendError("device lost")

    served = FakeServed({1: labels_of}, always=fail)
    rig = Rig([[Frame(number) for number in range(9)]], served, times={"max_restarts": 3})
    with pytest.raises(BackendError, match="device lost"):
        rig.loop.run()
    rig.check()
    assert rig.sink.story()[-2:] == ["ENGINE_FAILED|STOPPED", "closed"]
    assert [seen.number for seen in rig.sink.seen] == [0]
    assert served.num_restarts == 3


def nan(frame: Image) -> Segmentation:
    """What labels and confidence come out of logits that are NaN."""
    return Segmentation(np.zeros_like(frame[..., 0]), np.zeros_like(frame[..., 0]), 0, 0)


@pytest.mark.parametrize("answer", [NotFiniteError("logits hold NaN"), nan])
def test_result_behind_which_is_nan_is_withheld(answer: Any) -> None:
    rig = Rig([[]], FakeServed({2: answer}), health={"hold_ms": 100})
    rig.openings[0] = [
        Frame(0),
        Frame(1),
        When(lambda: rig.sink.knows(Reason.OUTPUT_NOT_FINITE)),
        When(lambda: not rig.sink.knows(Reason.OUTPUT_NOT_FINITE)),
        Frame(2),
    ]
    counters = rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "OUTPUT_NOT_FINITE", "OK", 2, "STOPPED", "closed"]
    assert (counters.num_published, counters.num_withheld) == (2, 1)


def test_frozen_output_is_withheld_from_the_first_repetition_on() -> None:
    held = labels_of(np.full((6, 8, 3), 200, np.uint8))

    def frozen(frame: Image) -> Segmentation:
        np.copyto(held.labels, first[0].labels)
        np.copyto(held.confidence, first[0].confidence)
        return held

    def remember(frame: Image) -> Segmentation:
        first.append(labels_of(frame))
        return first[0]

    first: list[Segmentation] = []
    rig = Rig([[]], FakeServed({1: remember, 2: frozen, 3: frozen}))
    rig.openings[0] = [Frame(0), Frame(1), Frame(2), When(lambda: rig.sink.knows(Reason.OUTPUT_FROZEN)), Frame(3)]
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "OUTPUT_FROZEN", 3, "OUTPUT_FROZEN|STOPPED", "closed"]


def test_engine_whose_outputs_stay_useless_is_opened_again() -> None:
    served = FakeServed({number: NotFiniteError("NaN") for number in (2, 3, 4)})
    rig = Rig([[Frame(number) for number in range(6)]], served, health={"max_withheld": 3})
    counters = rig.run()
    assert [seen.number for seen in rig.sink.seen] == [0, 4, 5]
    assert (counters.num_restarts, counters.num_withheld) == (1, 3)


def test_disk_that_is_full_is_told_to_the_other_sinks() -> None:
    def full(result: Result) -> None:
        if result.captured.frame_id == 1:
            raise DiskFullError("/data has 0 bytes left")

    writer = RecordingSink(full)
    rig = Rig([[]], others=[NamedSink("pictures", writer)])
    both_have_the_first = When(lambda: writer.seen and rig.sink.seen)
    is_told = When(lambda: rig.sink.knows(Reason.DISK_FULL))
    rig.openings[0] = [Frame(0), both_have_the_first, Frame(1), is_told, Frame(2)]
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, 1, "DISK_FULL", 2, "DISK_FULL|STOPPED", "closed"]
    assert rig.sink.told[-1].health.details[0] == "pictures: /data has 0 bytes left"
    # The one that failed gets the next result.
    assert [seen.number for seen in writer.seen] == [0, 2]


def test_sink_with_a_bug_harms_no_other_and_the_bug_is_raised_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(result: Result) -> None:
        raise ZeroDivisionError("a bug")

    rig = Rig([[]], others=[NamedSink("broken", RecordingSink(stumble))])
    rig.openings[0] = [Frame(0), When(lambda: rig.sink.knows(Reason.SINK_FAILED)), Frame(1)]
    with pytest.raises(ZeroDivisionError):
        rig.loop.run()
    rig.check()
    assert rig.sink.story() == ["STARTING", "OK", 0, "SINK_FAILED", 1, "SINK_FAILED|STOPPED", "closed"]
    assert rig.sink.told[-1].health.details[0] == "broken: ZeroDivisionError: a bug"
    assert [record.message for record in caplog.records] == [
        "sink broken has a bug; it gets the next result all the same"
    ]


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
def test_frame_whose_clock_jumped_is_refused_and_the_next_good_one_is_not(jump_ms: float) -> None:
    rig = Rig([[Frame(0), Frame(1), Frame(2, jump_ms=jump_ms), Frame(3)]])
    counters = rig.run()
    assert [seen.number for seen in rig.sink.seen] == [0, 1, 3]
    assert rig.sink.story()[-4:] == ["CLOCK_JUMPED", 3, "CLOCK_JUMPED|STOPPED", "closed"]
    # It came, so it is refused and not lost.
    assert (counters.num_refused, counters.num_lost) == (1, 0)


def test_source_whose_clock_stays_elsewhere_is_opened_again() -> None:
    jumped = [Frame(number, jump_ms=-60_000) for number in range(1, 20)]
    rig = Rig([[Frame(0), *jumped], []])
    rig.openings[1] = [When(lambda: rig.sink.knows(Reason.SOURCE_LOST)), Frame(20)]
    counters = rig.run()
    assert [seen.number for seen in rig.sink.seen] == [0, 20]
    assert "CLOCK_JUMPED|SOURCE_LOST" in rig.sink.story()
    assert counters.num_refused == 10


def test_camera_that_shows_one_picture_for_ever_is_a_fault() -> None:
    frames = [Frame(0), *(Frame(number, shows=0) for number in range(1, 4)), Frame(4)]
    rig = Rig([frames], health={"max_repeated_frames": 2})
    rig.run()
    # The pictures themselves are newly taken, so that they are fresh; that nothing in them changes is the fault.
    assert rig.sink.story() == ["STARTING", "OK", 0, 1, "FRAMES_REPEAT", 2, 3, "OK", 4, "STOPPED", "closed"]


def test_frame_that_comes_twice_is_refused() -> None:
    rig = Rig([[Frame(0), Frame(0, shows=7), Frame(1)]])
    counters = rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, "FRAMES_REFUSED", 1, "FRAMES_REFUSED|STOPPED", "closed"]
    assert counters.num_refused == 1


def test_slow_sink_delays_no_other_and_misses_counted_results() -> None:
    slow = HangingSink("write")
    rig = Rig([[]], others=[NamedSink("slow", slow)])
    many = [Frame(number) for number in range(1, 10)]
    rig.openings[0] = [Frame(0), When(slow.is_hanging.is_set), *many, Do(slow.let_go.set)]
    rig.run()
    assert [seen.number for seen in rig.sink.seen] == list(range(10))
    # It gets the newest as soon as it is ready; only the first was older.
    assert [seen.number for seen in slow.seen] == [0, 9]
    assert rig.loop._outlets[1].num_missed == 8
    assert any(seen.reasons & Reason.SINK_SLOW for seen in rig.sink.seen)


def test_slow_sink_that_nobody_watches_is_no_matter_of_health() -> None:
    slow = HangingSink("write")
    rig = Rig([[]], others=[NamedSink("slow", slow, is_watched=False)])
    many = [Frame(number) for number in range(1, 10)]
    rig.openings[0] = [Frame(0), When(slow.is_hanging.is_set), *many, Do(slow.let_go.set)]
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", *range(10), "STOPPED", "closed"]


def test_stop_in_mid_frame_publishes_that_frame_and_no_other() -> None:
    def stopping(frame: Image) -> Segmentation:
        rig.loop.stop()
        return labels_of(frame)

    rig = Rig([[Frame(number) for number in range(9)]], FakeServed({3: stopping}))
    rig.run()
    assert rig.sink.story() == ["STARTING", "OK", 0, 1, 2, "STOPPED", "closed"]


def test_stop_while_a_frame_waits_counts_it_as_dropped() -> None:
    def stopping(frame: Image) -> Segmentation:
        until(lambda: rig.loop.tally.num_captured == 2)
        rig.loop.stop()
        return labels_of(frame)

    rig = Rig([[]], FakeServed({1: stopping}), is_paced=False)
    rig.openings[0] = [Frame(0), When(lambda: rig.served.num_calls), Frame(1), When(lambda: False)]
    counters = rig.run()
    assert [seen.number for seen in rig.sink.seen] == [0]
    assert (counters.num_captured, counters.num_dropped) == (2, 1)


def test_engine_that_hangs_is_told_while_it_hangs_and_the_heartbeat_stops() -> None:
    beats: list[int] = []
    is_hanging = Event()

    def hang(frame: Image) -> Segmentation:
        until(lambda: rig.sink.knows(Reason.STALLED))
        before = len(beats)
        num_told = len(rig.sink.told)
        until(lambda: len(rig.sink.told) >= num_told + 3)
        assert len(beats) == before
        is_hanging.set()
        return labels_of(frame)

    rig = Rig(
        [[Frame(0), Frame(1), Frame(2)]],
        FakeServed({2: hang}),
        health={"stall_ms": 20},
        times={"deadline_ms": 20},
        beat=lambda: beats.append(1),
    )
    rig.openings[0] = [Frame(0), Frame(1), When(lambda: not rig.sink.knows(Reason.STALLED)), Frame(2)]
    rig.run()
    assert is_hanging.is_set()
    hung = rig.sink.seen[1]
    assert not hung.is_fresh
    # Labels that took that long still say so of themselves; the next ones do not.
    assert hung.reasons & Reason.STALLED
    assert not rig.sink.seen[2].reasons & Reason.STALLED
    num_before = len(beats)
    assert num_before > 0


@pytest.mark.parametrize("where", ["open", "read", "close"])
def test_source_that_hangs_is_told_and_does_not_keep_the_sinks_open_at_the_end(where: str) -> None:
    let_go, is_hanging = Event(), Event()

    def hang(name: str) -> None:
        if name == where:
            is_hanging.set()
            assert let_go.wait(PATIENCE_S)

    class Hanging(ScriptedSource):
        def read(self, into: Image, timeout_s: float) -> Captured | None:
            hang("read")
            if where == "close":
                raise SourceError("unplugged")
            return super().read(into, timeout_s)

        def close(self) -> None:
            hang("close")

    def open_source() -> Hanging:
        hang("open")
        return Hanging([Frame(0)], {}, lambda: True)

    rig = Rig([], health={"source_stall_ms": 20}, times={"stop_ms": 40})
    rig.loop._reader._open_source = open_source
    stopping = rig.stopping_when(lambda: rig.sink.knows(Reason.STALLED))
    with stopping, pytest.raises(SourceError, match=r"reader: did not end within loop\.stop_ms=40"):
        rig.loop.run()
    assert rig.sink.story()[-1] == "closed"
    assert rig.sink.told[-1].health.reasons & Reason.STOPPED
    let_go.set()
    rig.loop._reader.join(PATIENCE_S)
    assert not rig.loop._reader.is_alive()
    # A frame that comes after all is counted, and its memory comes back.
    assert rig.loop._pool.num_free == rig.loop._pool.num_slots
    assert adds_up(rig.loop.tally.counters())
    assert rig.loop.tally.num_captured == (where == "read")


@pytest.mark.parametrize("where", ["write", "tell", "close"])
def test_sink_that_hangs_does_not_keep_the_others_open_at_the_end(where: str) -> None:
    hanging = HangingSink(where)
    rig = Rig([[Frame(0), Frame(1)]], others=[NamedSink("hanging", hanging)], times={"stop_ms": 200})
    with pytest.raises(SinkError, match="sink hanging: did not end within"):
        rig.loop.run()
    assert rig.sink.story()[-2:] == ["STOPPED", "closed"]
    hanging.let_go.set()
    rig.loop._outlets[1].join(PATIENCE_S)
    assert hanging.events[-1] == "closed"
    rig.check()


def test_failure_to_close_a_source_that_was_lost_is_no_bug() -> None:
    class Broken(ScriptedSource):
        def close(self) -> None:
            super().close()
            raise SourceError("cannot be closed either")

    rig = Rig([[Frame(1)]])
    openings = iter([Broken([Frame(0), SourceError("unplugged")], rig.taken_ns, rig.is_settled)])
    rig.loop._reader._open_source = lambda: next(openings, None) or rig._open()
    rig.run()
    assert [seen.number for seen in rig.sink.seen] == [0, 1]


@pytest.mark.parametrize("who", ["source", "beat"])
def test_bug_in_any_thread_ends_the_loop_with_that_bug(who: str) -> None:
    def stumble() -> None:
        raise ZeroDivisionError("a bug")

    rig = Rig([[Frame(0), *([ZeroDivisionError("a bug")] if who == "source" else [When(lambda: False)])]])
    if who == "beat":
        rig.loop._watchdog._beat = stumble
    with pytest.raises(ZeroDivisionError):
        rig.loop.run()
    rig.check()


def test_bug_in_the_engine_ends_the_loop_with_every_sink_closed() -> None:
    rig = Rig([[Frame(0), Frame(1)]], FakeServed({2: ZeroDivisionError("a bug")}))
    with pytest.raises(ZeroDivisionError):
        rig.loop.run()
    rig.check()
    assert [seen.number for seen in rig.sink.seen] == [0]


def test_stop_while_the_engine_waits_to_be_opened_again_opens_it_no_more() -> None:
    def fail(frame: Image) -> Segmentation:
        raise BackendError("device lost")

    served = FakeServed(always=fail)
    rig = Rig([[Frame(0), When(lambda: False)]], served, times={"backoff_s": 60, "max_backoff_s": 60})
    with rig.stopping_when(lambda: rig.sink.knows(Reason.ENGINE_FAILED)):
        rig.run()
    assert served.num_restarts == 0


def test_results_that_miss_their_deadline_are_delivered_as_late() -> None:
    def late(frame: Image) -> Segmentation:
        Event().wait(0.002)
        return labels_of(frame)

    rig = Rig(
        [[Frame(number) for number in range(6)]],
        FakeServed(always=late),
        times={"deadline_ms": 1},
        health={"max_consecutive_late": 3},
    )
    counters = rig.run()
    assert counters.num_late == 6
    assert not any(seen.is_fresh for seen in rig.sink.seen)
    assert rig.sink.seen[0].reasons & Reason.DEADLINES_MISSED
    assert [bool(seen.reasons & Reason.ALL_LATE) for seen in rig.sink.seen] == [False, False, True, True, True, True]


def test_network_and_publishing_stay_on_the_callers_thread() -> None:
    threads: list[Any] = []

    def note(frame: Image) -> Segmentation:
        threads.append(current_thread())
        return labels_of(frame)

    Rig([[Frame(0), Frame(1)]], FakeServed(always=note)).run()
    assert threads == [main_thread()] * 2
