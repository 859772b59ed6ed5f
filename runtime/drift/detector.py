"""A sequential test of whether frames still come from where the reference came from.

Each feature has a range that nearly all reference frames lie in. However the features are distributed, a bound on the
share of future frames beyond one end of it follows from the number of reference frames alone (order statistics;
Chernoff's bound on the binomial). The test bets against that bound, at every look and for every end of every feature:
a stake L is lost if the frame lies within, and pays 1 / bound if it lies beyond, so that nobody's wealth grows in the
mean while the world is as it was. An e-detector (Shin, Ramdas, Rinaldo: "E-detectors: a nonparametric framework for
sequential change detection", 2024) in its CUSUM form: wealth never falls below what the bet began with (Page, 1954),
and an alarm is a wealth above a threshold.

What is guaranteed: let frames that lie `num_alike` looks or more apart be independent, and distributed as the
reference. Then, but for one reference in twenty, the mean number of looks to a false alarm is at least
`frames_between_false_alarms` = A, and the chance of one within t looks is at most t / 2A. A bettor's wealth is raised
to the power 1 / num_alike, which by Hoelder's inequality keeps the bound for any dependence among nearer frames
(each of the interleaved sequences of every num_alike-th look is a fair game, and the wealth is their geometric mean),
and the threshold is 2A times the number of bettors, which keeps it for any dependence among features.

What is not: a drive that stays in one rare corner of the reference for longer than `num_alike` looks is not
independent, and may raise an alarm more often; so may a reference whose frames do not span the domain. How much its
own frames resemble each other is measured, not known. A change within the ranges of all features is not seen.

An alarm is over when the wealth of its bettor is lost again: with a stake of a quarter after about 3.5 ln(threshold)
num_alike looks within the range.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.drift.features import Feature
from runtime.drift.reference import Reference

__all__ = ["Departure", "Detector"]

# A large stake answers to a clean break within few looks, a small one to a world that is out half of the time.
STAKES = (0.25, 0.75)
# Share of references, drawn by chance, whose bounds may fail.
UNLUCKY = 0.05
# Weight of a new look in the recent mean that sentences tell: the last few looks.
RECENT = 0.3


@dataclass(frozen=True, slots=True)
class Departure:
    """A feature that has left its range: which, on which side, its recent mean, and the reference's mean and spread."""

    feature: Feature
    is_above: bool
    recent: float
    mean: float
    spread: float


class Detector:
    """The state of the test is `log_wealth`, two numbers an end of each feature; see above.

    Args:
        described: the features, in order.
        reference: that of the bundle.
        frames_between_false_alarms: A.
        num_alike: looks, one after another, that may depend on each other.

    Attributes:
        log_wealth: (stakes, 2 D), the lower ends first; 0 where nothing speaks for a change.
        log_threshold: the wealth that raises an alarm, where it also stops growing.
        bound: greatest share of frames beyond an end that is in accordance with the reference.
    """

    def __init__(
        self,
        described: tuple[Feature, ...],
        reference: Reference,
        *,
        frames_between_false_alarms: float,
        num_alike: int,
    ) -> None:
        known = [reference.features[feature.key] for feature in described]
        self._described = described
        self._mean, self._spread, self._low, self._high = (
            np.array([getattr(feature, name) for feature in known], dtype=np.float32)
            for name in ("mean", "spread", "low", "high")
        )
        num_ends = 2 * len(described)
        self.bound = _bound(reference, UNLUCKY / num_ends)
        stakes = np.array(STAKES)[:, np.newaxis]
        self._won = np.log(1 - stakes + stakes / self.bound) / num_alike
        self._lost = np.log(1 - stakes) / num_alike
        self.log_threshold = math.log(2 * num_ends * len(STAKES) * frames_between_false_alarms)
        self.log_wealth = np.zeros((len(STAKES), num_ends))
        self._is_out = np.zeros_like(self.log_wealth, dtype=np.bool_)
        self._recent: NDArray[np.float32] | None = None

    @property
    def evidence(self) -> float:
        """How near the test is to an alarm: 0 none, 1 alarm."""
        return float(self.log_wealth.max()) / self.log_threshold

    def look(self, features: NDArray[np.float32]) -> tuple[Departure, ...]:
        """Take in a frame's features (D,); returns what has left its range, the farthest first, none where all is well.

        A departure lasts from its alarm until the wealth that raised it is lost.
        """
        is_beyond = np.concatenate((features < self._low, features > self._high))
        change = np.where(is_beyond, self._won, self._lost)
        self.log_wealth = np.clip(self.log_wealth + change, 0.0, self.log_threshold)
        self._is_out = (self._is_out & (self.log_wealth > 0)) | (self.log_wealth >= self.log_threshold)
        self._recent = features if self._recent is None else (1 - RECENT) * self._recent + RECENT * features
        ends = np.flatnonzero(self._is_out.any(axis=0))
        if ends.size == 0:
            return ()
        found = [self._departure(int(end), self._recent) for end in ends]
        return tuple(sorted(found, key=_farness, reverse=True))

    def _departure(self, end: int, recent: NDArray[np.float32]) -> Departure:
        index = end % len(self._described)
        return Departure(
            self._described[index],
            end >= len(self._described),
            float(recent[index]),
            float(self._mean[index]),
            float(self._spread[index]),
        )


def _farness(departure: Departure) -> float:
    # A share that was the same in every reference frame has no spread; a thousandth is less than rounding shows.
    return abs(departure.recent - departure.mean) / max(departure.spread, 1e-3)


def _bound(reference: Reference, chance: float) -> float:
    """The share beyond an end that reference frames would show so rarely as `chance`; by bisection.

    If a share q of all frames lay beyond, at most k of n would with a chance of no more than exp(-n KL(k/n, q)).
    """
    low, high = reference.share_outside, 1.0
    while high - low > 1e-9:
        share = (low + high) / 2
        unlikelihood = reference.num_independent * _divergence(reference.share_outside, share)
        low, high = (share, high) if unlikelihood < -math.log(chance) else (low, share)
    return high


def _divergence(seen: float, supposed: float) -> float:
    """Kullback-Leibler divergence of two shares, seen at most supposed."""
    rest = (1 - seen) * math.log((1 - seen) / (1 - supposed))
    return rest + (seen * math.log(seen / supposed) if seen > 0 else 0.0)
