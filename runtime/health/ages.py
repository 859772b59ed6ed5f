"""How old results were, over any length of time in memory that does not grow."""

import numpy as np

from runtime.units import MILLISECOND_NS

__all__ = ["Ages"]

# 2**7 buckets for each doubling: a percentile is told at most 0.8 % too high, and never too low.
SUB_BITS = 7
# Nanoseconds up to 2**48, which is three days.
NUM_BUCKETS = (48 - SUB_BITS + 1) << SUB_BITS
# Results a percentile needs for 99 % confidence that it is not exceeded more often than it says, with one above it.
NEEDED = {"p50": (0.5, 1), "p90": (0.9, 64), "p99": (0.99, 662), "p99.9": (0.999, 6636)}


class Ages:
    """A histogram of nanoseconds with buckets of equal relative width."""

    def __init__(self) -> None:
        self._counts = np.zeros(NUM_BUCKETS, dtype=np.int64)
        self.num = 0
        self._max_ns = 0

    def add(self, age_ns: int) -> None:
        """Count one age; one below zero, from a clock that is ahead, counts as zero."""
        age_ns = max(age_ns, 0)
        self._counts[min(_bucket_of(age_ns), NUM_BUCKETS - 1)] += 1
        self.num += 1
        self._max_ns = max(self._max_ns, age_ns)

    def figures_ms(self) -> dict[str, float]:
        """Percentiles that the number of results supports, and the maximum, in milliseconds; empty without results."""
        if not self.num:
            return {}
        above = np.cumsum(self._counts)
        figures = {
            name: min(_last_of(int(np.searchsorted(above, share * self.num))), self._max_ns)
            for name, (share, needed) in NEEDED.items()
            if self.num >= needed
        }
        return {name: round(age_ns / MILLISECOND_NS, 3) for name, age_ns in {**figures, "max": self._max_ns}.items()}


def _bucket_of(age_ns: int) -> int:
    """Linear below 2**SUB_BITS; above, the leading SUB_BITS + 1 bits choose the bucket."""
    shift = max(0, age_ns.bit_length() - SUB_BITS - 1)
    return (shift << SUB_BITS) + (age_ns >> shift)


def _last_of(bucket: int) -> int:
    """The greatest age in a bucket."""
    shift = max(0, (bucket >> SUB_BITS) - 1)
    return ((bucket - (shift << SUB_BITS) + 1) << shift) - 1
