"""What may be said about latency samples: percentiles that the samples support, medians and ratios with intervals."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_SAMPLES", "median_interval", "percentiles_ms", "speedup", "speedup_interval"]

# Fewest queries that bound a percentile with 99 % confidence, one query above the bound allowed; the rule and the
# last two numbers are those of MLPerf Inference.
MIN_SAMPLES: Mapping[str, int] = MappingProxyType({"p50": 1, "p90": 64, "p95": 130, "p99": 662, "p99.9": 6636})

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0


def percentiles_ms(samples_ns: NDArray[np.int64]) -> dict[str, float | None]:
    """Every percentile of `MIN_SAMPLES` in milliseconds; None where there are too few samples for it.

    A percentile is one of the samples, the next one above where it falls between two, never an interpolation.
    """
    return {
        name: _percentile(samples_ns, float(name[1:])) / 1e6 if len(samples_ns) >= needed else None
        for name, needed in MIN_SAMPLES.items()
    }


def speedup(ours_ns: NDArray[np.int64], peer_ns: NDArray[np.int64]) -> float:
    """Median of the peer over ours: 2.0 says that ours needs half the time."""
    return _percentile(peer_ns, 50) / _percentile(ours_ns, 50)


def speedup_interval(ours_ns: NDArray[np.int64], peer_ns: NDArray[np.int64]) -> tuple[float, float]:
    """Bootstrap interval of `speedup` at 95 % (percentile method, seeded).

    Queries are drawn with replacement as pairs, because what slows the machine down slows both contenders.

    Args:
        ours_ns: (N,) time of each query.
        peer_ns: (N,) time of the peer on the same queries.
    """
    return _interval(len(ours_ns), lambda drawn: speedup(ours_ns[drawn], peer_ns[drawn]))


def median_interval(samples_ns: NDArray[np.int64]) -> tuple[float, float, float]:
    """Median of one contender, and the ends of its bootstrap interval, made as that of `speedup`."""
    low, high = _interval(len(samples_ns), lambda drawn: _percentile(samples_ns[drawn], 50))
    return _percentile(samples_ns, 50), low, high


def _interval(num_samples: int, figure: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """Interval of a figure of the samples whose indices it is given."""
    rng = np.random.default_rng(SEED)
    found = [figure(rng.integers(num_samples, size=num_samples)) for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _percentile(samples_ns: NDArray[np.int64], percent: float) -> float:
    return float(np.quantile(samples_ns, percent / 100, method="higher"))
