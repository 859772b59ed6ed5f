"""What the loop told so far: its newest status, the last few hundred results, and how long each stage took."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import astuple, dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from runtime.result import Result, Status
from runtime.units import MILLISECOND_NS

__all__ = ["BOUNDS_NS", "HISTORY_COLUMNS", "NUM_HISTORY", "STAGES", "Durations", "Record", "Told"]

STAGES = ("read", "wait", "infer", "keep", "check")
"""Names of the stages in their order; `Stages` has a field `NAME_ns` for each."""
HISTORY_COLUMNS = ("frame_id", "published_ns", *(f"{stage}_ns" for stage in STAGES))
"""One row of the history; the stages add up to the age at publish."""
NUM_HISTORY = 512
"""Results that the history looks back on."""
BOUNDS_NS = tuple(
    int(bound_ms * MILLISECOND_NS)
    for bound_ms in (0.2, 0.5, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
)
"""Upper bounds of the histograms."""


class Durations:
    """A histogram; a duration below zero, of a frame from the future, counts as none.

    Attributes:
        counts: how many fell between a bound and the one before it; the last are longer than every bound.
        total_ns: their sum.
    """

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.total_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one."""
        duration_ns = max(duration_ns, 0)
        self.counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
        self.total_ns += duration_ns

    def copy(self) -> "Durations":
        """As they are now."""
        copied = Durations()
        copied.counts, copied.total_ns = self.counts.copy(), self.total_ns
        return copied


@dataclass(frozen=True, slots=True)
class Told:
    """All that was told up to one moment.

    `told_ns` is when the loop told something last and `deadline_ns` that of the newest result, -1 before the first.
    `history` (N, 7) int64 has `HISTORY_COLUMNS` and the oldest result first; `stages` are in the order of `STAGES`.
    """

    now_ns: int
    told_ns: int
    status: Status | None
    deadline_ns: int
    history: NDArray[np.int64]
    age: Durations
    stages: tuple[Durations, ...]


class Record:
    """Written by the sink's thread, read by any; nobody holds its lock for longer than a small copy takes.

    Args:
        now_ns: the monotonic clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._lock = Lock()
        self._status: Status | None = None
        self._told_ns = self._deadline_ns = -1
        self._rows = np.zeros((NUM_HISTORY, len(HISTORY_COLUMNS)), dtype=np.int64)
        self._num_rows = 0
        self._age = Durations()
        self._stages = tuple(Durations() for _ in STAGES)

    def add_result(self, result: Result) -> None:
        """Note a result's figures, not its arrays."""
        durations_ns = astuple(result.stages)
        with self._lock:
            self._rows[self._num_rows % NUM_HISTORY] = (result.captured.frame_id, result.published_ns, *durations_ns)
            self._num_rows += 1
            self._age.add(result.stages.total_ns)
            for durations, duration_ns in zip(self._stages, durations_ns, strict=True):
                durations.add(duration_ns)
            self._deadline_ns = result.deadline_ns
            self._status, self._told_ns = result.status, self._now_ns()

    def add_status(self, status: Status) -> None:
        """Note news of the loop."""
        with self._lock:
            self._status, self._told_ns = status, self._now_ns()

    def told(self) -> Told:
        """All of it now, as a copy."""
        with self._lock:
            rows, num_rows = self._rows.copy(), self._num_rows
            status, told_ns, deadline_ns = self._status, self._told_ns, self._deadline_ns
            age, stages = self._age.copy(), tuple(durations.copy() for durations in self._stages)
        history = rows[:num_rows] if num_rows < NUM_HISTORY else np.roll(rows, -(num_rows % NUM_HISTORY), axis=0)
        # The clock is read last: what is shown may look older than it is, never younger.
        return Told(self._now_ns(), told_ns, status, deadline_ns, history, age, stages)
