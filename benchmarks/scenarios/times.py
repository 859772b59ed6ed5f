"""Samples as the document has them: percentiles that they are enough for, and the worst of all."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.document import Ratio
from benchmarks.samples import percentiles_ms, speedup, speedup_interval
from benchmarks.scenarios.document import Times, Worst

__all__ = ["ratio_of", "times_of"]

NUM_WORST = 10


def times_of(samples_ns: NDArray[np.int64]) -> Times:
    """Describe samples, of which none is left out.

    Args:
        samples_ns: (N,) nanoseconds, at least one.
    """
    worst = np.argsort(-samples_ns, kind="stable")[:NUM_WORST].tolist()
    return Times(
        percentiles_ms=percentiles_ms(samples_ns),
        max_ms=float(samples_ns.max()) / 1e6,
        worst=tuple(Worst(index=index, ms=int(samples_ns[index]) / 1e6) for index in worst),
        samples_ns=tuple(samples_ns.tolist()),
    )


def ratio_of(over_ns: NDArray[np.int64], under_ns: NDArray[np.int64]) -> Ratio:
    """Median of the first over that of the second, with a 95 % bootstrap interval over pairs.

    Args:
        over_ns: (N,) nanoseconds.
        under_ns: (N,) nanoseconds; what slowed `over_ns[i]` down may have slowed `under_ns[i]` down too.
    """
    low, high = speedup_interval(under_ns, over_ns)
    return Ratio(value=speedup(under_ns, over_ns), low=low, high=high)
