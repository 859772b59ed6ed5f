"""Distances of features to a vector of each class, and what category anchors make of them.

Symbols: N images, C classes, D channels, (h, w) features.
"""

import torch
from torch import Tensor

from runtime.labels import IGNORE_INDEX

__all__ = ["active_labels", "pull_loss", "squared_distances"]


def squared_distances(features: Tensor, vectors: Tensor, is_known: Tensor) -> Tensor:
    """Squared Euclidean distance of each feature to the vector of each class.

    Args:
        features: (N, D, h, w).
        vectors: (C, D).
        is_known: (C,) bool; other classes are infinitely far.

    Returns:
        (N, C, h, w), at least 0.
    """
    products = torch.einsum("ndhw,cd->nchw", features, vectors)
    squares = features.square().sum(dim=1, keepdim=True) + vectors.square().sum(dim=1)[:, None, None] - 2 * products
    return squares.clamp(min=0.0).masked_fill(~is_known[:, None, None], float("inf"))


def active_labels(distances: Tensor, anchors: Tensor, margin: float) -> Tensor:
    """The class of the nearest anchor where it is nearer than the second by a margin, else `IGNORE_INDEX`.

    The margin is that of squared distances as a share of the squared distance between the two anchors: half-way
    between them is 0, on the nearest anchor 1, and what has nothing to do with the two of them does not count.

    Args:
        distances: (N, C, h, w), squared; infinite where there is no anchor. No pixel is active with fewer than two.
        anchors: (C, D).
        margin: at least 0.

    Returns:
        (N, h, w) int64.
    """
    (nearest, second), (labels, other) = (part.unbind(1) for part in distances.topk(2, dim=1, largest=False))
    between = (anchors[:, None] - anchors).square().sum(dim=2)[labels, other]
    is_active = second.isfinite() & (second - nearest > margin * between)
    return torch.where(is_active, labels, IGNORE_INDEX)


def pull_loss(features: Tensor, labels: Tensor, anchors: Tensor) -> Tensor:
    """Squared distance of features to the anchor of their class, mean over channels and labelled pixels; scalar.

    Args:
        features: (N, D, h, w).
        labels: (N, h, w); `IGNORE_INDEX` pixels do not count.
        anchors: (C, D).

    Returns:
        0, with a finite gradient, when no pixel is labelled.
    """
    is_labelled = labels != IGNORE_INDEX
    own = anchors[torch.where(is_labelled, labels, 0)].movedim(-1, 1)
    squares = (features - own).square().mean(dim=1)
    return torch.where(is_labelled, squares, 0.0).sum() / is_labelled.sum().clamp(min=1)
