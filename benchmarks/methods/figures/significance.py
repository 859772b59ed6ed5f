"""Whether rows differ by more than chance: seeds as pairs, and frames of the test set as pairs.

Seeds are few, and say what another run would give; frames are many, and say what another drive would. Neither
says anything of another source network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.methods.figures.paired_differences import holm, paired_t
from benchmarks.methods.figures.resamples import Resamples, interval_of_frames
from benchmarks.methods.figures.summary import RowFigures

__all__ = ["Difference", "differences"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row less the leading row of its block, over equal seeds; None where it cannot be said, `why_not` says why."""

    title: str
    leader: str
    num_seeds: int
    mean: float | None = None
    interval: tuple[float, float] | None = None
    """95 % interval of the mean over seeds, by Student's t."""
    p: float | None = None
    """Two-sided, for that interval's test alone."""
    p_holm: float | None = None
    """After Holm's correction for all rows of the block."""
    interval_of_frames: tuple[float, float] | None = None
    """95 % bootstrap interval over test frames, seeds as they are."""
    why_not: str | None = None


def differences(
    rows: Sequence[RowFigures], measure: str, seeds: Sequence[int], resamples: Mapping[str, Mapping[int, Resamples]]
) -> list[Difference]:
    """Every row of a block against the one with the highest mean.

    Args:
        rows: of one block; a baseline has the same value with every seed.
        measure: what they are compared by.
        seeds: of the comparison.
        resamples: by title and seed, where there are any.
    """
    measured = [row for row in rows if row.summary[measure].mean is not None]
    if len(measured) < 2:
        return []
    leader = max(measured, key=lambda row: row.summary[measure].mean or 0.0)
    found = [_difference(row, leader, measure, seeds, resamples) for row in measured if row is not leader]
    corrected = holm([difference.p for difference in found])
    return [replace(difference, p_holm=p) for difference, p in zip(found, corrected, strict=True)]


def _difference(
    row: RowFigures,
    leader: RowFigures,
    measure: str,
    seeds: Sequence[int],
    resamples: Mapping[str, Mapping[int, Resamples]],
) -> Difference:
    ours, theirs = (_by_seed(one, measure, seeds) for one in (row, leader))
    common = [seed for seed in seeds if seed in ours and seed in theirs]
    if not common:
        return Difference(row.title, leader.title, 0, why_not="no seed in common")
    values = [ours[seed] - theirs[seed] for seed in common]
    mean, frames = fmean(values), interval_of_frames(row.title, leader.title, common, resamples)
    if row.is_baseline and leader.is_baseline:
        why_not = "no seed changes either"
    elif len(common) < 2:
        why_not = "a single seed in common"
    elif (tested := paired_t(values)) is not None:
        return Difference(row.title, leader.title, len(common), mean, *tested, None, frames)
    else:
        why_not = "the same with every seed"
    return Difference(row.title, leader.title, len(common), mean, interval_of_frames=frames, why_not=why_not)


def _by_seed(row: RowFigures, measure: str, seeds: Sequence[int]) -> Mapping[int, float]:
    mean = row.summary[measure].mean
    return dict.fromkeys(seeds, mean) if row.is_baseline and mean is not None else row.values[measure]
