"""What a training step is given: views, labels and the names of their frames."""

from typing import NamedTuple, Protocol

from torch import Tensor

__all__ = ["Batch", "SourceBatch", "TargetBatch"]


class Batch(Protocol):
    """What the trainer knows of a batch: the names of its frames, for error messages."""

    @property
    def names(self) -> list[str]:
        """Names of the frames, one per crop."""
        ...


class SourceBatch(NamedTuple):
    """Labelled source crops: `images` (N, H, W, 3) uint8 RGB, `labels` (N, H, W) int64."""

    names: list[str]
    images: Tensor
    labels: Tensor


class TargetBatch(NamedTuple):
    """Looks of the same places, (N, H, W, 3) uint8 RGB each, and their pseudo-labels (N, H, W) int64.

    `memory` has a fixed scale, `weak` a random one, `student` is `weak` with its colours changed. What no one needs
    is None: see `Needs`. `importance` (N, H, W) uint8, 255 for 1, is that of the whole frame, cut like the labels.
    `clean` are unchanged crops of other frames, where a run has any. `source` are labelled source crops, for methods
    that are not source-free.
    """

    names: list[str]
    memory: Tensor | None
    weak: Tensor | None
    student: Tensor
    pseudo_labels: Tensor
    importance: Tensor | None
    clean: Tensor | None = None
    source: SourceBatch | None = None
