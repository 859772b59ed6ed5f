"""mIoU on labelled frames, frame by frame, so that a difference comes with what these frames can tell of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.resampling import drawn_frames, interval_of
from runtime.metrics import ConfusionMatrix

__all__ = ["MIN_FRAMES", "Lead", "PixelCounts", "miou_lead", "miou_of"]

MIN_FRAMES = 10
"""Fewest labelled frames for an interval: drawing anew from a handful of frames knows nothing of any other."""


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

    def labelled(self) -> NDArray[np.int64]:
        """The frames that have any labelled pixel, (F, 3, classes)."""
        frames = [frame for frame in self.frames if any(frame)]
        num_classes = len(frames[0]) // 3 if frames else 0
        return np.array(frames, dtype=np.int64).reshape(len(frames), 3, num_classes)


@dataclass(frozen=True, slots=True)
class Lead:
    """Points of mIoU by which one network is ahead of another, and the ends of the 95 % interval.

    `interval` is None with fewer than `MIN_FRAMES` labelled frames.
    """

    value: float
    interval: tuple[float, float] | None


def miou_of(counts: PixelCounts) -> float | None:
    """Mean IoU in percent over the classes that the truth has; None where no pixel is labelled.

    Over all that are predicted, a single stray pixel of another class would put a zero into the mean of one contender
    and not into another's.
    """
    frames = counts.labelled()
    return float(_miou(frames.sum(axis=0))) if len(frames) else None


def miou_lead(ours: PixelCounts, others: PixelCounts) -> Lead | None:
    """How far one network is ahead of another on the same frames; None where no pixel is labelled.

    Both are judged on the same draws of frames (`drawn_frames`), because one that is hard for one is hard for the
    other. The interval tells what other frames like these could show, and nothing of other drives.
    """
    frames, other_frames = ours.labelled(), others.labelled()
    if not len(frames):
        return None
    value = float(_miou(frames.sum(axis=0)) - _miou(other_frames.sum(axis=0)))
    if len(frames) < MIN_FRAMES:
        return Lead(value, None)
    drawn = drawn_frames(len(frames))
    resampled = [_miou(np.tensordot(drawn, counts, axes=1).swapaxes(0, 1)) for counts in (frames, other_frames)]
    return Lead(value, interval_of(resampled[0] - resampled[1]))


def _miou(pixels: NDArray[np.int64]) -> Any:
    """From hit, true and predicted pixels, each (..., classes); the mean over the classes with true pixels, (...)."""
    hit, true, predicted = pixels
    iou = np.divide(hit, true + predicted - hit, out=np.full(hit.shape, np.nan), where=true > 0)
    return np.nanmean(iou, axis=-1) * 100
