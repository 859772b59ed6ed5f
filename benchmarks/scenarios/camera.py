"""A camera of fixed rate in front of the loop: newest frame wins, and every age counts from when its frame was due."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Frame
from benchmarks.loop.recorder import STAGES, Recorder
from benchmarks.loop.run import is_exact, run_loop
from benchmarks.samples import percentiles_ms
from benchmarks.scenarios.document import Camera
from benchmarks.scenarios.labels import LabelCheck, require_same_labels
from benchmarks.scenarios.single_stream import warm
from benchmarks.scenarios.times import times_of
from runtime.errors import GateError
from runtime.result import Counters, Result, Status
from runtime.segmenter import Segmenter
from runtime.swap.served import Served

__all__ = ["CameraPlan", "CameraSink", "measure_camera"]


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """A camera: its name in messages, its rate in Hz, how many frames it takes, and the greatest age of their labels.

    `deadline_ms` None stands for the time until the next frame.
    """

    name: str
    rate_hz: float
    num_frames: int
    deadline_ms: float | None

    @property
    def period_ns(self) -> int:
        """Time between two frames."""
        return round(1e9 / self.rate_hz)

    @property
    def deadline_ns(self) -> int:
        """Greatest age at which labels are in time."""
        return self.period_ns if self.deadline_ms is None else round(self.deadline_ms * 1e6)


class CameraSink:
    """Notes the age of each result, then compares labels drawn at random.

    Args:
        capacity: frames that the camera takes.
        check: draws and compares.
    """

    def __init__(self, capacity: int, check: LabelCheck) -> None:
        self._recorder, self._check, self._drawn = Recorder(capacity), check, check.drawn(capacity)
        self._ids: list[int] = []

    def write(self, result: Result) -> None:
        """See `runtime.sinks.sink.Sink`."""
        self._recorder.write(result)
        number = result.captured.frame_id
        self._ids.append(number)
        # The first one in any case: of a slow engine none of those drawn may come.
        if number in self._drawn or self._check.num_compared == 0:
            self._check.compare(number, result.labels)

    def tell(self, status: Status) -> None:
        """See `runtime.sinks.sink.Sink`."""

    def close(self) -> None:
        """Nothing is held."""

    @property
    def frame_ids(self) -> tuple[int, ...]:
        """Numbers of the frames whose labels came, in their order."""
        return tuple(self._ids)

    @property
    def stages_ns(self) -> NDArray[np.int64]:
        """(N, 6): the stages of every result, which add up to its age in the sink, from when its frame was due."""
        return self._recorder.filled_ns


def measure_camera(
    segmenter: Segmenter, frames: Sequence[Frame], plan: CameraPlan, *, threads: int, warmup: int, seed: int
) -> Camera:
    """Run a camera in front of the loop until it has taken all its frames; the segmenter stays open.

    Raises:
        BackendError: the engine failed again and again.
        GateError: labels changed, or the counters do not add up to the camera's frames.
    """
    check = prepare(segmenter, frames, warmup=warmup, seed=seed)
    return run_camera(segmenter, frames, plan, check, threads=threads)


def prepare(segmenter: Segmenter, frames: Sequence[Frame], *, warmup: int, seed: int) -> LabelCheck:
    """Warm up, and note the labels that are expected."""
    warm(segmenter, frames, warmup)
    return LabelCheck(lambda frame: segmenter.segment(frame).labels, frames, seed)


def run_camera(
    segmenter: Segmenter, frames: Sequence[Frame], plan: CameraPlan, check: LabelCheck, *, threads: int
) -> Camera:
    """The measurement itself, after `prepare`; raises as `measure_camera`."""
    sink = CameraSink(plan.num_frames, check)
    deadline_ms = max(1, -(-plan.deadline_ns // 1_000_000))
    counters = run_loop(
        Served(lambda: segmenter), frames, plan.period_ns, plan.num_frames, sink, deadline_ms=deadline_ms
    )
    return describe_camera(plan, counters, sink, check, threads=threads)


def describe_camera(
    plan: CameraPlan, counters: Counters, sink: CameraSink, check: LabelCheck, *, threads: int
) -> Camera:
    """What a camera's run comes to.

    Raises:
        GateError: labels changed, or the counters do not add up to the camera's frames.
    """
    checked = check.result() if check.num_compared else None
    require_same_labels(plan.name, [] if checked is None else [checked])
    stages_ns = sink.stages_ns
    ages_ns = stages_ns.sum(axis=1)
    num_in_time = int(np.count_nonzero(ages_ns <= plan.deadline_ns))
    if not is_exact(counters, plan.num_frames) or counters.num_published < len(ages_ns):
        raise GateError(
            f"{plan.name}: the camera took {plan.num_frames} frames and the sink got {len(ages_ns)} results, which the "
            f"counters of the loop do not add up to: {counters}; this is a bug of the loop or of the camera"
        )
    return Camera(
        rate_hz=plan.rate_hz,
        period_ms=plan.period_ns / 1e6,
        deadline_ms=plan.deadline_ns / 1e6,
        num_frames=plan.num_frames,
        counters=asdict(counters),
        is_exact=True,
        num_unseen=counters.num_published - len(ages_ns),
        num_late=len(ages_ns) - num_in_time,
        missed_share=1 - num_in_time / plan.num_frames,
        times=times_of(ages_ns) if len(ages_ns) else None,
        stages_ms={name: percentiles_ms(stages_ns[:, column]) for column, name in enumerate(STAGES)},
        frame_ids=sink.frame_ids,
        threads=threads,
        checked=checked,
    )
