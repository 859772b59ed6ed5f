"""`scenarios.json`: what one run of the command measured, every sample included."""

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.bundle_document import BundleDocument
from benchmarks.document import Ratio
from benchmarks.loop.document import Start
from runtime.bundle.manifest import Share
from runtime.config import StrictModel

__all__ = [
    "Camera",
    "Checked",
    "Contention",
    "Offline",
    "OfflineRow",
    "Resume",
    "ScenariosDocument",
    "SingleStream",
    "Times",
    "Worst",
]


class Worst(StrictModel):
    """One of the slowest: its place among the samples, and its time."""

    index: NonNegativeInt
    ms: float


class Times(StrictModel):
    """Times of frames, none left out.

    `percentiles_ms` holds None for what the samples are too few for; `worst` has the ten slowest, slowest first.
    """

    percentiles_ms: dict[str, float | None]
    max_ms: float
    worst: tuple[Worst, ...]
    samples_ns: tuple[int, ...]


class Checked(StrictModel):
    """Labels that came out while the time was taken, compared with those of the same engine before.

    `label_agreement` is the share of equal pixels over `num_compared` outputs, drawn at random with a seed.
    """

    label_agreement: Share
    num_compared: PositiveInt


class SingleStream(StrictModel):
    """The next query comes right after the last one.

    Query i shows `frames[i % len(frames)]`. `stages_ns` add up to the whole of each query: `copy` checks the frame and
    makes it contiguous, `infer` is the engine with its transfers, `return` hands its labels to the caller.
    `duration_s` is the sum of all queries.
    """

    times: Times
    stages_ms: dict[str, dict[str, float | None]]
    stages_ns: dict[str, tuple[int, ...]]
    frames_per_s: float
    duration_s: float
    checked: Checked


class OfflineRow(StrictModel):
    """One way of getting through many frames, in rounds of `Offline.round_frames`.

    `threads` are those of each engine. `against_first` is its throughput over that of the first row, by the medians of
    rounds; None in the first row. `frames_per_s` is over all rounds.
    """

    name: str
    is_ours: bool
    num_engines: PositiveInt
    threads: PositiveInt
    batch_size: PositiveInt
    frames_per_s: float
    against_first: Ratio | None
    checked: Checked
    rounds_ns: tuple[int, ...]


class Offline(StrictModel):
    """Ways of getting through many frames, taking turns."""

    round_frames: PositiveInt
    num_rounds: PositiveInt
    rows: tuple[OfflineRow, ...]


class Camera(StrictModel):
    """A camera of fixed rate in front of the loop.

    `num_frames` were taken: lost before they could be read, dropped for a newer one, withheld, or published; `is_exact`
    says that the loop's counters add up to that. Ages are those of labels in the sink from the moment at which the
    frame was due; `times` is None where no labels came. `num_unseen` were published and overtaken on their way to the
    sink, `num_late` came after the deadline. `missed_share` is the share of all frames without labels in the sink by
    their deadline, whatever the reason. `stages_ms` add up to the age, result by result.
    """

    rate_hz: float
    period_ms: float
    deadline_ms: float
    num_frames: PositiveInt
    counters: dict[str, int]
    is_exact: bool
    num_unseen: NonNegativeInt
    num_late: NonNegativeInt
    missed_share: Share
    times: Times | None
    stages_ms: dict[str, dict[str, float | None]]
    frame_ids: tuple[int, ...]
    threads: PositiveInt
    checked: Checked | None


class Contention(StrictModel):
    """One stream with and without a second load on the same cores, in blocks that take turns.

    `slowdown` is the ratio of medians, loaded over quiet, with a 95 % bootstrap interval over pairs of blocks.
    """

    load: str
    load_threads: PositiveInt
    num_blocks: PositiveInt
    block_queries: PositiveInt
    quiet: Times
    loaded: Times
    slowdown: Ratio
    checked: Checked


class Resume(StrictModel):
    """The first frame after a pause, and frames one right after the other.

    `slowdown` is the ratio of medians, first over running, with a 95 % bootstrap interval over pairs of a first frame
    and the run before its pause.
    """

    idle_s: float
    num_pauses: PositiveInt
    first: Times
    running: Times
    slowdown: Ratio
    checked: Checked


class ScenariosDocument(BundleDocument):
    """All scenarios of a run; None, or an empty list, for those that were left out.

    `unmet` are the budgets that the figures do not meet.
    """

    artefact: str
    engine: str
    warmup: PositiveInt
    single_stream: SingleStream | None = None
    offline: Offline | None = None
    cameras: tuple[Camera, ...] = ()
    multi_camera: tuple[Camera, ...] = ()
    contention: Contention | None = None
    cold_start: Start | None = None
    resume: Resume | None = None
    unmet: tuple[str, ...] = ()
    frames: tuple[str, ...]
