"""What the loop takes and gives: frames with their time of capture, results with their age and health.

All times are integer nanoseconds of the machine's monotonic clock (`time.monotonic_ns`), which every process of one
machine shares and nobody sets. Wall-clock time appears in files and logs alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.health.reasons import Health

__all__ = ["NOTHING", "Captured", "Counters", "Result", "Stages", "Status"]


@dataclass(frozen=True, slots=True)
class Captured:
    """What a source says of a frame it wrote.

    `frame_id` grows by one with each frame the camera took; a gap is a frame lost before it came here. `captured_ns`
    is when the camera took it, as near as the source knows; `name` is what files about it are called.
    """

    frame_id: int
    captured_ns: int
    name: str


NOTHING = Captured(-1, -1, "")
"""In place of a frame, before the first."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Where a result's age comes from, in nanoseconds; the stages add up to it.

    `read_ns` from capture until the whole frame lies in memory, `wait_ns` until the network takes it, `infer_ns` that
    of the network (transfers and the host's tail included), `keep_ns` until its output is copied, `check_ns` until it
    is checked and published.
    """

    read_ns: int
    wait_ns: int
    infer_ns: int
    keep_ns: int
    check_ns: int

    @property
    def total_ns(self) -> int:
        """Age of the result when it was published."""
        return self.read_ns + self.wait_ns + self.infer_ns + self.keep_ns + self.check_ns


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since the loop started; nothing is forgotten: captured = published + withheld + dropped + under way.

    At most three frames are under way: one just read, one that waits, one in the network; after the end none is.

    `num_captured` frames were read whole; `num_lost` are gaps in the camera's numbers, which a corrupt frame leaves
    too; `num_refused` were corrupt, of another size, or out of order; `num_dropped` were whole and overtaken by a newer
    one, or waited when the loop ended; `num_published` results went out; `num_withheld` did not, because their output
    was not to be trusted; `num_late` were published after the deadline; `num_restarts` of the engine; `num_swaps` of
    the bundle.
    """

    num_captured: int = 0
    num_lost: int = 0
    num_refused: int = 0
    num_dropped: int = 0
    num_published: int = 0
    num_withheld: int = 0
    num_late: int = 0
    num_restarts: int = 0
    num_swaps: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How the loop is, told at the first heartbeat after a change and at every one at which no result told it.

    `last_frame_id` and `last_captured_ns` are those of the last published result, -1 before the first.
    """

    now_ns: int
    health: Health
    counters: Counters = Counters()
    drop_ratio: float = 0.0
    last_frame_id: int = NOTHING.frame_id
    last_captured_ns: int = NOTHING.captured_ns
    bundle_id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Labels of one frame, with all that is needed to judge whether to trust them.

    `frame` (H, W, 3) RGB, `labels` (H, W) train ids and `confidence` (H, W), 255 at certainty, are uint8, read-only,
    and valid until the sink returns: copy what must live longer. `deadline_ns` is the greatest age at which the result
    counts as fresh. `bundle_id` is the SHA-256 of the manifest of the bundle that gave it.
    """

    captured: Captured
    frame: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    published_ns: int
    deadline_ns: int
    stages: Stages
    health: Health
    counters: Counters
    drop_ratio: float
    bundle_id: str

    def age_ns(self, now_ns: int) -> int:
        """Time since capture."""
        return now_ns - self.captured.captured_ns

    def is_fresh(self, now_ns: int) -> bool:
        """Whether the labels are within their deadline now; those of a frame from the future are not."""
        return 0 <= self.age_ns(now_ns) <= self.deadline_ns

    @property
    def status(self) -> Status:
        """What it says of the loop, at the moment it was published."""
        return Status(
            now_ns=self.published_ns,
            health=self.health,
            counters=self.counters,
            drop_ratio=self.drop_ratio,
            last_frame_id=self.captured.frame_id,
            last_captured_ns=self.captured.captured_ns,
            bundle_id=self.bundle_id,
        )
