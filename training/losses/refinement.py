"""What a refinement network is taught, and how far its word counts (PRN, arXiv 2310.16979), as pure functions.

Symbols: N images, C classes, (h, w) the logits' size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.losses.terms import importance_map
from training.networks.refinement import Refined

__all__ = ["lifted_by_class", "noise_loss", "refinement_loss", "trusted_labels"]

MOST_WEIGHT = 10.0


def trusted_labels(views: Sequence[Tensor], threshold: float) -> Tensor:
    """Labels of the cells whose predictions can be taught from; all others are `IGNORE_INDEX`.

    Args:
        views: logits (N, C, h, w) of looks of the same places, brought back to the same cells.
        threshold: how far the first view's first choice must be ahead of its second, as 1 - p2 / p1.

    Returns:
        (N, h, w): the first view's class, where all views give it and it is ahead by more than the threshold.
    """
    first, *others = views
    labels = first.argmax(dim=1)
    is_trusted = importance_map(first) > threshold
    for other in others:
        is_trusted &= other.argmax(dim=1) == labels
    return torch.where(is_trusted, labels, IGNORE_INDEX)


def refinement_loss(refined: Refined, given: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the corrected logits, and that of where the given ones were wrong; scalar.

    Args:
        refined: what the network made of them.
        given: (N, C, h, w), the logits that it was given.
        labels: (N, h, w) train ids; `IGNORE_INDEX` cells count in neither.

    Returns:
        The sum of the two means over labelled cells; 0, with a finite gradient, when there is none.
    """
    is_labelled = labels != IGNORE_INDEX
    total = F.cross_entropy(refined.logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    is_noise = given.argmax(dim=1) != labels
    return total / is_labelled.sum().clamp(min=1) + noise_loss(refined.noise, is_noise, is_labelled)


def noise_loss(noise: Tensor, is_noise: Tensor, is_labelled: Tensor) -> Tensor:
    """Binary cross-entropy, mean over labelled cells, in which noisy cells weigh what the clean are to them; scalar.

    That ratio is kept within 1 and 10.

    Args:
        noise: (N, h, w) logits.
        is_noise: (N, h, w) bool.
        is_labelled: (N, h, w) bool; other cells count nothing.
    """
    num_noisy, num = (is_noise & is_labelled).sum(), is_labelled.sum()
    weight = ((num - num_noisy) / num_noisy.clamp(min=1)).clamp(1.0, MOST_WEIGHT)
    losses = F.binary_cross_entropy_with_logits(noise.float(), is_noise.float(), pos_weight=weight, reduction="none")
    return torch.where(is_labelled, losses, 0.0).sum() / num.clamp(min=1)


def lifted_by_class(weights: Tensor, labels: Tensor, num_classes: int, floor: float) -> Tensor:
    """Weights whose mean in each class is at least `floor`, so that none vanishes from what is taught.

    A class below it is lifted towards 1 by the same share of what each of its pixels lacks.

    Args:
        weights: (N, H, W) in [0, 1].
        labels: (N, H, W) train ids.
        num_classes: C.
        floor: in [0, 1).
    """
    ids = labels.flatten()
    counts = torch.bincount(ids, minlength=num_classes).clamp(min=1)
    means = torch.zeros(num_classes, device=ids.device).index_add_(0, ids, weights.flatten()) / counts
    lift = ((floor - means) / (1.0 - means).clamp(min=1e-6)).clamp(0.0, 1.0)[labels]
    return weights + lift * (1.0 - weights)
