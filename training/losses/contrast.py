"""Pixel contrast: the InfoNCE loss, and which pixels take part in it by what a teacher thinks of them.

Anchors and negatives after PGPC (arXiv 2501.09040) and its ancestor U2PL (Wang et al., CVPR 2022). Pixels come as rows:
P pixels of all crops together, C classes.
"""

import torch
from torch import Tensor

from runtime.labels import IGNORE_INDEX

__all__ = ["anchor_labels", "category_ranks", "info_nce_loss", "source_negatives", "surest", "target_negatives"]


def info_nce_loss(positive: Tensor, negative: Tensor, *, temperature: float) -> Tensor:
    """Mean over anchors of -log(e^(p / t) / (e^(p / t) + sum of e^(n / t))); scalar (PGPC, eq. 5).

    Args:
        positive: (A,) similarity p of each anchor to what it should be like; A is at least 1.
        negative: (A, K) similarities n to what it should be unlike.
        temperature: t.
    """
    similarity = torch.cat([positive[:, None], negative], dim=1) / temperature
    return -similarity.log_softmax(dim=1)[:, 0].mean()


def category_ranks(probs: Tensor) -> Tensor:
    """Place of each class in each pixel's prediction, 0 being the most probable; (P, C) probabilities -> (P, C)."""
    return probs.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


def surest(probs: Tensor, share: float) -> Tensor:
    """Which of the pixels have the lowest entropy of all, whatever their class (PGPC, eq. 8).

    Args:
        probs: (P, C).
        share: of the pixels.

    Returns:
        (P,) bool, true for round(share P) of them.
    """
    entropy = torch.special.entr(probs).sum(dim=1)
    is_sure = torch.zeros_like(entropy, dtype=torch.bool)
    is_sure[entropy.argsort(stable=True)[: round(share * len(entropy))]] = True
    return is_sure


def anchor_labels(probs: Tensor, is_sure: Tensor, *, least_probability: float) -> Tensor:
    """Class of each pixel that is an anchor, `IGNORE_INDEX` for the others; (P,) int64.

    Args:
        probs: (P, C).
        is_sure: (P,) bool.
        least_probability: an anchor's class is more probable than this.
    """
    probability, labels = probs.max(dim=1)
    return torch.where(is_sure & (probability > least_probability), labels, IGNORE_INDEX)


def target_negatives(probs: Tensor, is_sure: Tensor, *, rank: int) -> Tensor:
    """Which unsure pixels are, for all that, surely not of a class (PGPC, eq. 11); (P, C) bool.

    Args:
        probs: (P, C).
        is_sure: (P,) bool.
        rank: the class comes at this place of their prediction or behind it, the first being 0.
    """
    return (category_ranks(probs) >= rank) & ~is_sure[:, None]


def source_negatives(probs: Tensor, labels: Tensor, *, rank: int) -> Tensor:
    """Which labelled pixels are taken for a class that they are not of (U2PL); (P, C) bool.

    Args:
        probs: (P, C).
        labels: (P,) train ids; `IGNORE_INDEX` pixels are negatives of no class.
        rank: the class comes before this place of their prediction, the first being 0.
    """
    classes = torch.arange(probs.shape[1], device=labels.device)
    is_other = (labels[:, None] != classes) & (labels != IGNORE_INDEX)[:, None]
    return (category_ranks(probs) < rank) & is_other
