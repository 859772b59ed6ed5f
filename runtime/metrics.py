"""Pixels by true and predicted class, and the intersection over union that follows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.labels import IGNORE_INDEX

__all__ = ["ConfusionMatrix"]


class ConfusionMatrix:
    """Pixel counts by (true class, predicted class), summed over frames.

    The mean is taken over classes after all frames are counted, not per frame: a frame without a class
    then neither helps nor hurts it.
    """

    def __init__(self, num_classes: int) -> None:
        """Start with no pixel counted."""
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), dtype=np.int64)

    def update(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one frame.

        Args:
            truth: (H, W) train ids; `IGNORE_INDEX` pixels are not counted.
            predicted: (H, W) train ids.

        Raises:
            ValueError: the two differ in shape, or a predicted or true id is not a class.
        """
        if truth.shape != predicted.shape:
            raise ValueError(
                f"truth is {truth.shape} but prediction is {predicted.shape}; resize neither, fix the caller"
            )
        counted = truth != IGNORE_INDEX
        true_ids, predicted_ids = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
        if true_ids.size and max(true_ids.max(), predicted_ids.max()) >= self.num_classes:
            raise ValueError(
                f"found class id {max(true_ids.max(), predicted_ids.max())}; expected ids below {self.num_classes}"
            )
        pairs = np.bincount(true_ids * self.num_classes + predicted_ids, minlength=self.num_classes**2)
        self.counts += pairs.reshape(self.num_classes, self.num_classes)

    def iou(self) -> NDArray[np.float64]:
        """IoU of each class, (num_classes,) in [0, 1]; NaN where a class is neither present nor predicted."""
        hit = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hit
        iou: NDArray[np.float64] = np.divide(hit, union, out=np.full(self.num_classes, np.nan), where=union > 0)
        return iou

    def miou(self, train_ids: Sequence[int] | None = None) -> float:
        """Mean IoU in percent over the classes that occur; NaN when no pixel was counted.

        Args:
            train_ids: classes to take the mean over; None takes all. The others still count as false predictions.
        """
        iou = self.iou() if train_ids is None else self.iou()[list(train_ids)]
        return float(np.nanmean(iou) * 100) if np.isfinite(iou).any() else float("nan")

    def iou_by_name(self, names: Sequence[str]) -> Mapping[str, float | None]:
        """IoU in percent by class name; None where a class does not occur (JSON has no NaN)."""
        return {
            name: None if np.isnan(value) else round(float(value) * 100, 2)
            for name, value in zip(names, self.iou(), strict=True)
        }
