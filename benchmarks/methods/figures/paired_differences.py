"""Student's test of paired differences, and Holm's correction for many of them."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

__all__ = ["CONFIDENCE", "holm", "paired_t", "t_quantile", "t_tail"]

CONFIDENCE = 0.95


def paired_t(values: Sequence[float]) -> tuple[tuple[float, float], float] | None:
    """95 % interval of the mean of two differences or more, and the two-sided p of its being zero.

    None where all are the same: of values that never change nothing can be said of others.
    """
    mean, error = fmean(values), stdev(values) / math.sqrt(len(values))
    if error == 0:
        return None
    freedom = len(values) - 1
    margin = error * t_quantile(freedom)
    return (mean - margin, mean + margin), t_tail(abs(mean) / error, freedom)


def t_tail(t: float, freedom: int) -> float:
    """Probability that Student's t is further from zero than `t` >= 0.

    The finite series for whole degrees of freedom: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
    and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    cosine, is_odd = math.cos(angle), freedom % 2
    term = total = math.sin(angle) * (cosine if is_odd else 1.0)
    for k in range(3 if is_odd else 2, freedom, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    if not is_odd:
        return 1.0 - total
    return 1.0 - 2.0 / math.pi * (angle + (total if freedom > 1 else 0.0))


def t_quantile(freedom: int) -> float:
    """What Student's t exceeds, to either side, with probability 1 - CONFIDENCE."""
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > 1 - CONFIDENCE else (low, middle)
    return high


def holm(values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number, Holm's step-down way; None stays and does not count."""
    order = sorted((value, place) for place, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - rank)))
        corrected[place] = highest
    return corrected
