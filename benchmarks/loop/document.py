"""`loop.json` and `soak.json`: what one run of the commands measured."""

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.bundle_document import BundleDocument
from runtime.config import StrictModel

__all__ = ["LoopDocument", "Memory", "Minute", "Overhead", "SoakDocument", "Start"]

Percentiles = dict[str, float | None]


class Overhead(StrictModel):
    """Time around the engine, in milliseconds.

    `engine_ms` is the engine alone, without the copy of the frame into its memory, which is `copy_ms`. `stages_ms` are
    those of the loop; `read` is the camera's and counts for nothing. `loop_ms` is from the frame in memory to its
    labels in a sink, and `overhead_ms` what its median has over that of the engine alone.
    """

    frame_hw: tuple[PositiveInt, PositiveInt]
    num_frames: PositiveInt
    period_ms: float
    engine_ms: Percentiles
    copy_ms: float
    stages_ms: dict[str, Percentiles]
    loop_ms: Percentiles
    overhead_ms: float
    overhead_share: float


class Memory(StrictModel):
    """Memory after warm-up and at the end; slopes are bytes a frame over all samples in between.

    `traced` is what Python allocated and did not free, `resident` the whole process.
    """

    num_frames: PositiveInt
    traced_first_bytes: int
    traced_last_bytes: int
    traced_slope_bytes: float
    resident_first_bytes: int
    resident_last_bytes: int
    resident_slope_bytes: float


class Start(StrictModel):
    """Medians over processes, in milliseconds: from the start of the process until it is ready, and each stage."""

    num_processes: PositiveInt
    ready_ms: float
    stages_ms: dict[str, float]


class LoopDocument(BundleDocument):
    """What `loop` measured."""

    artefact: str
    engine: str
    overhead: Overhead
    memory: Memory | None
    start: Start


class Minute(StrictModel):
    """One minute of a soak: ages are those at which the sink had the labels."""

    num_results: NonNegativeInt
    num_stale: NonNegativeInt
    age_p50_ms: float | None
    age_p99_ms: float | None
    age_max_ms: float | None
    resident_bytes: PositiveInt


class SoakDocument(BundleDocument):
    """What `soak` measured.

    The camera took `num_frames`; each of them is published, dropped, withheld, refused or lost, and `is_exact` says
    that the loop's counters add up to it.
    """

    artefact: str
    engine: str
    engine_ms: float
    period_ms: float
    deadline_ms: PositiveInt
    num_frames: PositiveInt
    counters: dict[str, int]
    is_exact: bool
    num_stale_as_fresh: NonNegativeInt
    states: dict[str, int]
    minutes: tuple[Minute, ...]
