"""A sink that notes times, in memory allocated beforehand."""

import time

import numpy as np
from numpy.typing import NDArray

from runtime.result import Result, Status

__all__ = ["STAGES", "Recorder"]

STAGES = ("read", "wait", "infer", "keep", "check", "hand over")
"""From the capture of a frame to its labels in a sink."""


class Recorder:
    """Times of each result.

    Args:
        capacity: results there is room for.

    Attributes:
        stages_ns: (capacity, 6), the first `num_results` rows are filled.
        num_results: how many came.
    """

    def __init__(self, capacity: int) -> None:
        self.stages_ns: NDArray[np.int64] = np.zeros((capacity, len(STAGES)), dtype=np.int64)
        self.num_results = 0

    def write(self, result: Result) -> None:
        """See `runtime.sinks.sink.Sink`."""
        now_ns = time.monotonic_ns()
        stages = result.stages
        row = self.stages_ns[self.num_results]
        row[0], row[1], row[2] = stages.read_ns, stages.wait_ns, stages.infer_ns
        row[3], row[4], row[5] = stages.keep_ns, stages.check_ns, now_ns - result.published_ns
        self.num_results += 1

    def tell(self, status: Status) -> None:
        """See `runtime.sinks.sink.Sink`."""

    def close(self) -> None:
        """Nothing is held."""

    @property
    def filled_ns(self) -> NDArray[np.int64]:
        """(num_results, 6): the stages of every result that came."""
        return self.stages_ns[: self.num_results]
