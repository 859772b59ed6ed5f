"""mIoU on labelled frames, frame by frame, so that a difference comes with what these frames can tell of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.samples import bootstrap_interval
from runtime.metrics import ConfusionMatrix

__all__ = ["Ahead", "PixelCounts", "miou_ahead", "miou_of"]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Points of mIoU by which one network is ahead of another, and the ends of the 95 % interval."""

    value: float
    low: float
    high: float


class PixelCounts:
    """Pixels of each class on each labelled frame: hit, true and predicted.

    Args:
        frames: one for each frame, (3 * classes,): all hits, then all true, then all predicted pixels, by class.
    """

    def __init__(self, frames: Sequence[Sequence[int]] = ()) -> None:
        self.frames = [tuple(frame) for frame in frames]

    def update(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int) -> None:
        """Count one frame; see `ConfusionMatrix.update`."""
        matrix = ConfusionMatrix(num_classes)
        matrix.update(truth, predicted)
        pixels = np.concatenate([np.diag(matrix.counts), matrix.counts.sum(axis=1), matrix.counts.sum(axis=0)])
        self.frames.append(tuple(pixels.tolist()))

    def by_class(self) -> NDArray[np.int64]:
        """All frames, (N, 3, classes)."""
        return np.array(self.frames, dtype=np.int64).reshape(len(self.frames), 3, -1)


def miou_of(counts: PixelCounts) -> float | None:
    """Mean IoU in percent over the classes that the truth has; None where it has none.

    Over all that are predicted, a single stray pixel of another class would put a zero into the mean of one contender
    and not into another's.
    """
    return _miou(counts.by_class()) if any(map(any, counts.frames)) else None


def miou_ahead(ours: PixelCounts, others: PixelCounts) -> Ahead | None:
    """Points of mIoU by which one is ahead of the other on the same frames; None where neither has any.

    Frames are drawn with replacement, the same for both, because one that is hard for one network is hard for the
    other. Frames of one drive are alike, and an interval from them is too narrow for other drives.
    """
    if miou_of(ours) is None or miou_of(others) is None:
        return None
    first, second = ours.by_class(), others.by_class()
    low, high = bootstrap_interval(len(first), lambda drawn: _miou(first[drawn]) - _miou(second[drawn]))
    return Ahead(_miou(first) - _miou(second), low, high)


def _miou(counts: NDArray[np.int64]) -> float:
    hit, true, predicted = counts.sum(axis=0)
    present = true > 0
    return float(np.mean(hit[present] / (true + predicted - hit)[present]) * 100)
