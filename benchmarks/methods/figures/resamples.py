"""What the test set's choice of frames is worth: mIoU on frames drawn with replacement."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.resampling import drawn_frames, interval_of

__all__ = ["Resamples", "interval_of_frames", "resampled_miou"]

Resamples = NDArray[np.float64]
"""(NUM_RESAMPLES,) mIoU in percent of a network on frames drawn with replacement, the same draws for every network."""


def resampled_miou(path: Path) -> dict[str, Resamples]:
    """MIoU of the networks of a file of counts on resampled frames; nothing where there is no such file."""
    if not path.exists():
        return {}
    with np.load(path) as counts:
        return {name: _resampled(counts[name]) for name in counts}


def _resampled(counts: NDArray[np.int64]) -> Resamples:
    """From (F, C, C) pixels by true and predicted class. Frames without a label, the same for all, are not drawn."""
    counts = counts[counts.any(axis=(1, 2))]
    sums = np.tensordot(drawn_frames(len(counts)).astype(np.float64), counts.astype(np.float64), axes=1)
    hit = np.diagonal(sums, axis1=1, axis2=2)
    union = sums.sum(axis=1) + sums.sum(axis=2) - hit
    iou = np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0)
    miou: Resamples = np.nanmean(iou, axis=1) * 100
    return miou


def interval_of_frames(
    title: str, leader: str, seeds: Sequence[int], resamples: Mapping[str, Mapping[int, Resamples]]
) -> tuple[float, float] | None:
    """95 % bootstrap interval of a row less another, mean over seeds; None where counts of frames are missing."""
    ours, theirs = ([resamples.get(one, {}).get(seed) for seed in seeds] for one in (title, leader))
    pairs = [a - b for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    if len(pairs) < len(seeds):
        return None
    return interval_of(np.mean(pairs, axis=0))
