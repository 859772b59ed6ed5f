"""MaxSquare: the maximum squares loss (Chen, Xue, Cai, ICCV 2019), source-free.

Its gradient is linear in the probability, so that easy pixels lead less than with entropy. The published form adds
cross-entropy on labelled source images; here the offline labels stand in its place, as the paper's own image-wise
weights need a prediction to begin with. Its multi-level form needs an auxiliary classifier, which networks here lack.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from training.methods.method import Setting
from training.methods.pseudo_label import LabelTermConfig, PseudoLabelLearning
from training.views.batch import TargetBatch

__all__ = ["MaxSquare", "MaxSquareConfig", "image_weighted_square_loss", "square_loss"]

# Exponent of a class's pixels in an image; the authors' value.
ALPHA = 0.2


class MaxSquareConfig(LabelTermConfig):
    """Maximum squares."""

    name: Literal["max_square"]
    square: NonNegativeFloat = 0.1
    """Weight; the authors' value."""
    is_image_weighted: bool = True
    """Give the rare classes of an image more weight, as the authors' "IW"."""


class MaxSquare(PseudoLabelLearning):
    """Offline labels and maximum squares; see `PseudoLabelLearning`."""

    def __init__(self, config: MaxSquareConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.square_weight, self.loss = config.square, square_loss
        if config.is_image_weighted:
            self.loss = image_weighted_square_loss

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label` and `square`."""
        return {**super().terms(log_probs, batch), "square": self.square_weight * self.loss(log_probs)}


def square_loss(log_probs: Tensor) -> Tensor:
    """-1/2 of the mean of p^2 over all pixels and classes of (N, C, H, W) log-probabilities; scalar in [-1/2, 0)."""
    return -log_probs.exp().square().mean() / 2


def image_weighted_square_loss(log_probs: Tensor) -> Tensor:
    """- sum of w_i p^2 over pixels and classes, over N C; scalar.

    w_i = 1 / (n_c^a n^(1 - a)), where n_c of the image's n pixels are predicted as the class c of pixel i, and a = 0.2:
    in an image of one class it is 1 / n, and a class of few pixels counts for more than its share.
    """
    num_images, num_classes = log_probs.shape[:2]
    labels = log_probs.detach().argmax(dim=1).flatten(1)
    counts = torch.zeros(num_images, num_classes, device=labels.device)
    counts.scatter_add_(1, labels, torch.ones_like(labels, dtype=counts.dtype))
    weights = 1 / (counts.gather(1, labels).pow(ALPHA) * labels.shape[1] ** (1 - ALPHA))
    squares = log_probs.exp().square().sum(dim=1).flatten(1)
    total: Tensor = (weights * squares).sum()
    return -total / (num_images * num_classes)
