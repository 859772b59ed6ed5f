"""A source that plays a script, an engine that fails when told to, and a sink that writes down what it saw."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic, monotonic_ns, sleep
from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import Manifest
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.loop.config import LoopConfig
from runtime.loop.loop import Loop, NamedSink
from runtime.result import Captured, Counters, Result, Status
from runtime.segmenter import Segmentation
from runtime.sources.source import Source
from runtime.swap.served import Served

FRAME_HW = (6, 8)
NUM_CLASSES = 3
PATIENCE_S = 20.0
MS = 1_000_000

Image = NDArray[np.uint8]


class Clock:
    """Time that passes when told to."""

    def __init__(self, now_ns: int = 1_000_000_000) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, milliseconds: float) -> None:
        self.now_ns += int(milliseconds * MS)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that must come; fails where it does not."""
    limit_s = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < limit_s, "what the test waits for did not come"
        sleep(0.001)


def picture(number: int, frame_hw: tuple[int, int] = FRAME_HW) -> Image:
    """The frame of a number, unlike that of any other; no channel is below 100."""
    return np.random.default_rng(number).integers(100, 256, (*frame_hw, 3), dtype=np.uint8)


def labels_of(frame: Image) -> Segmentation:
    """What the engines here say of a frame: its red and its green."""
    return Segmentation(frame[..., 0].copy(), frame[..., 1].copy(), 0, 0)


@dataclass(frozen=True)
class Frame:
    """A frame; `shows` another number where the camera is stuck, captured `jump_ms` from when it says."""

    number: int
    shows: int | None = None
    jump_ms: float = 0.0


@dataclass(frozen=True)
class When:
    """The source has nothing until this holds."""

    condition: Callable[[], object]


@dataclass(frozen=True)
class Do:
    """Something happens between two frames."""

    action: Callable[[], object]


Step = Frame | When | Do | Exception


class ScriptedSource:
    """Gives what its script says, each frame when all before it were dealt with, where it waits for that.

    Attributes:
        taken_ns: when frames were truly taken, by what they say of themselves.
    """

    def __init__(self, script: Iterable[Step], taken_ns: dict[int, int], is_settled: Callable[[], bool]) -> None:
        self._script, self._taken_ns, self._is_settled = list(script), taken_ns, is_settled
        self.num_closed = 0

    @property
    def is_finished(self) -> bool:
        return not self._script

    def read(self, into: Image, timeout_s: float) -> Captured | None:
        step = self._script[0]
        if not self._is_settled() or (isinstance(step, When) and not step.condition()):
            sleep(0.001)
            return None
        del self._script[0]
        if isinstance(step, Exception):
            into[...] = 0
            raise step
        if isinstance(step, Do):
            step.action()
        if isinstance(step, When | Do):
            return None
        into[...] = picture(step.number if step.shows is None else step.shows, into.shape[:2])
        now_ns = monotonic_ns()
        captured_ns = now_ns + int(step.jump_ms * MS)
        self._taken_ns[captured_ns] = now_ns
        return Captured(step.number, captured_ns, f"frame{step.number}")

    def close(self) -> None:
        self.num_closed += 1


class FakeServed(Served):
    """Answers with `labels_of`, or as told for the nth call, counted from 1."""

    def __init__(
        self,
        on_call: Mapping[int, Exception | Callable[[Image], Segmentation]] | None = None,
        always: Callable[[Image], Segmentation] = labels_of,
        frame_hw: tuple[int, int] = FRAME_HW,
        on_restart: Sequence[Exception | None] = (),
    ) -> None:
        described = SimpleNamespace(frame_hw=frame_hw, classes=(None,) * NUM_CLASSES)
        self.manifest = cast(Manifest, described)
        self.bundle_id, self.num_swaps = "bundle", 0
        self._on_call, self._always, self._on_restart = dict(on_call or {}), always, list(on_restart)
        self.num_calls = self.num_restarts = 0

    def segment(self, frame: Image) -> Segmentation:
        self.num_calls += 1
        answer = self._on_call.get(self.num_calls, self._always)
        if isinstance(answer, Exception):
            raise answer
        return answer(frame)

    def swap_if_due(self, health: Health) -> None:
        """The bundle stays."""

    def restart(self) -> None:
        self.num_restarts += 1
        failure = self._on_restart.pop(0) if self._on_restart else None
        if failure is not None:
            raise failure

    def close(self) -> None:
        pass


@dataclass
class Seen:
    """A result, as the sink judged it on arrival."""

    number: int
    reasons: Reason
    captured_ns: int
    is_fresh: bool
    arrived_ns: int
    is_of_its_frame: bool
    result: Result


class RecordingSink:
    """Writes down results, changes of health, and the end."""

    def __init__(self, on_write: Callable[[Result], None] = lambda result: None) -> None:
        self.events: list[Seen | Status | str] = []
        self._on_write = on_write

    def write(self, result: Result) -> None:
        self._on_write(result)
        now_ns, number = monotonic_ns(), result.captured.frame_id
        expected = labels_of(result.frame)
        is_of_its_frame = np.array_equal(expected.labels, result.labels) and np.array_equal(
            expected.confidence, result.confidence
        )
        self.events.append(
            Seen(
                number,
                result.health.reasons,
                result.captured.captured_ns,
                result.is_fresh(now_ns),
                now_ns,
                is_of_its_frame,
                result,
            )
        )

    def tell(self, status: Status) -> None:
        self.events.append(status)

    def close(self) -> None:
        self.events.append("closed")

    @property
    def seen(self) -> list[Seen]:
        return [event for event in self.events if isinstance(event, Seen)]

    @property
    def told(self) -> list[Status]:
        return [event for event in self.events if isinstance(event, Status)]

    def knows(self, reason: Reason) -> bool:
        """Whether the last thing it heard says so."""
        heard = [event for event in self.events if not isinstance(event, str)]
        return bool(heard) and bool(_reasons(heard[-1]) & reason)

    def story(self) -> list[int | str]:
        """Numbers of results, and names of the reasons where they changed, in the order of arrival."""
        story: list[int | str] = []
        reasons = Reason.NONE
        for event in self.events:
            if isinstance(event, str):
                story.append(event)
                continue
            if _reasons(event) != reasons:
                reasons = _reasons(event)
                story.append(reasons.name or "OK" if reasons else "OK")
            if isinstance(event, Seen):
                story.append(event.number)
        return story


def _reasons(event: Seen | Status) -> Reason:
    return event.reasons if isinstance(event, Seen) else event.health.reasons


def nothing_stale(sink: RecordingSink, taken_ns: Mapping[int, int]) -> None:
    """What must hold of everything a sink ever saw, whatever went wrong."""
    last_ns = -1
    for seen in sink.seen:
        true_age_ns = seen.arrived_ns - taken_ns[seen.captured_ns]
        assert seen.captured_ns > last_ns, f"result {seen.number} is older than the one before it"
        assert not seen.is_fresh or 0 <= true_age_ns <= seen.result.deadline_ns, f"result {seen.number} is stale"
        assert seen.is_of_its_frame, f"result {seen.number} has the labels of another frame"
        assert seen.result.stages.total_ns == seen.result.published_ns - seen.captured_ns
        last_ns = seen.captured_ns
    if sink.events:
        first, *_, stopped, closed = sink.events
        assert isinstance(first, Status)
        assert first.health.reasons & Reason.STARTING
        assert isinstance(stopped, Status)
        assert stopped.health.reasons & Reason.STOPPED
        assert closed == "closed"


def adds_up(counters: Counters) -> bool:
    """Whether every frame that was captured had an end."""
    return counters.num_captured == counters.num_published + counters.num_withheld + counters.num_dropped


@dataclass
class Rig:
    """A loop with its doubles.

    `openings` are what opening the source gives, one after another; a source that is finished ends the loop. Where it
    `is_paced`, each frame waits until the sink saw what became of all before it.
    """

    openings: list[Sequence[Step] | Exception]
    served: FakeServed = field(default_factory=FakeServed)
    sink: RecordingSink = field(default_factory=RecordingSink)
    others: Sequence[NamedSink] = ()
    health: Mapping[str, object] = field(default_factory=dict)
    times: Mapping[str, object] = field(default_factory=dict)
    beat: Callable[[], None] = lambda: None
    is_paced: bool = True

    def __post_init__(self) -> None:
        patient = {"no_frames_ms": 60_000, "stall_ms": 60_000, "ratio_frames": 5}
        self.monitor = Monitor(HealthConfig.model_validate({**patient, **self.health}), monotonic_ns)
        quick = {"deadline_ms": 10_000, "heartbeat_ms": 5, "backoff_s": 0.001, "max_backoff_s": 0.01}
        config = LoopConfig.model_validate({**quick, **self.times})
        self.taken_ns: dict[int, int] = {}
        self.sources: list[ScriptedSource] = []
        sinks = [NamedSink("recorder", self.sink), *self.others]
        self.loop = Loop(self.served, self._open, sinks, self.monitor, config, beat=self.beat)

    def run(self) -> Counters:
        counters = self.loop.run()
        self.check()
        assert adds_up(counters)
        return counters

    @contextmanager
    def stopping_when(self, condition: Callable[[], object]) -> Iterator[None]:
        """Stops the loop as soon as this holds."""

        def stop() -> None:
            until(condition)
            self.loop.stop()

        stopper = Thread(target=stop)
        stopper.start()
        yield
        stopper.join()

    def check(self) -> None:
        """What must hold however the loop ended."""
        nothing_stale(self.sink, self.taken_ns)
        assert all(source.num_closed == 1 for source in self.sources)
        assert self.loop._pool.num_free == self.loop._pool.num_slots, "a slot was not given back"
        assert adds_up(self.loop.tally.counters())

    def is_settled(self) -> bool:
        """Whether the recorder saw whatever became of every frame."""
        if not self.is_paced:
            return True
        tally = self.loop.tally
        return adds_up(tally.counters()) and tally.num_published == len(self.sink.seen)

    def _open(self) -> Source:
        opening = self.openings.pop(0)
        if isinstance(opening, Exception):
            raise opening
        source = ScriptedSource(opening, self.taken_ns, self.is_settled)
        self.sources.append(source)
        return source


class HangingSink(RecordingSink):
    """Hangs in `write`, `tell` or `close` until let go."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self.is_hanging, self.let_go = Event(), Event()

    def write(self, result: Result) -> None:
        self._hang("write")
        super().write(result)

    def tell(self, status: Status) -> None:
        self._hang("tell")
        super().tell(status)

    def close(self) -> None:
        self._hang("close")
        super().close()

    def _hang(self, where: str) -> None:
        if where == self._where:
            self.is_hanging.set()
            assert self.let_go.wait(PATIENCE_S)
