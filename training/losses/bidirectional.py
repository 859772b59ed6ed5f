"""Losses and labels of bi-directional contrastive learning (BiCL; Lee et al., ECCV 2022) as functions of tensors.

Symbols: N images, C classes, D channels, (h, w) features. Labels are at the features' size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.losses.prototypes import class_prototypes, prototype_similarity

__all__ = ["bidirectional_losses", "contrast_loss", "dynamic_labels", "hybrid_labels"]

# The authors' value.
TEMPERATURE = 0.1
# The smallest cosine there is: a softmax over -inf alone would be NaN, as where the other image has no label at all.
ABSENT = -1.0


def bidirectional_losses(
    source: Tensor, source_labels: Tensor, target: Tensor, target_labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Target pixels against source prototypes, and source pixels against target prototypes (L_FC and L_BC).

    Source image k goes with target image k, and only pixels of classes that both of them have count. Gradients reach
    the prototypes too, as in the authors' code.

    Args:
        source: features (N, D, h, w).
        source_labels: (N, h, w).
        target: features (N, D, h', w').
        target_labels: (N, h', w').
        num_classes: C.

    Returns:
        Forward and backward loss, scalars; 0 where no two images have a class in common.
    """
    source_prototypes = class_prototypes(source, source_labels, num_classes)
    target_prototypes = class_prototypes(target, target_labels, num_classes)
    forward = contrast_loss(target, target_labels, source_prototypes)
    return forward, contrast_loss(source, source_labels, target_prototypes)


def contrast_loss(features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
    """Cross-entropy of the softmax over cosines at temperature 0.1 to the class of each pixel, scalar.

    Mean over the pixels of an image whose class has a prototype, then over images; one without such a pixel adds 0.

    Args:
        features: (N, D, h, w).
        labels: (N, h, w) train ids; `IGNORE_INDEX` pixels do not count.
        prototypes: (N, C, D); zero rows mark absent classes, which stay in the softmax with a cosine of -1, as in the
            authors' code.
    """
    is_absent = (prototypes == 0).all(dim=2)
    similarity = prototype_similarity(features, prototypes, "zero")
    similarity = similarity.masked_fill(is_absent[:, :, None, None], ABSENT)
    is_labelled = labels != IGNORE_INDEX
    of_absent_class = is_absent.gather(1, torch.where(is_labelled, labels, 0).flatten(1)).view_as(labels)
    is_counted = is_labelled & ~of_absent_class
    counted = torch.where(is_counted, labels, IGNORE_INDEX)
    losses = F.cross_entropy(similarity / TEMPERATURE, counted, ignore_index=IGNORE_INDEX, reduction="none")
    return (losses.sum(dim=(1, 2)) / is_counted.sum(dim=(1, 2)).clamp(min=1)).mean()


def dynamic_labels(similarity: Tensor, threshold: float) -> Tensor:
    """The most similar class where it is more similar than a threshold, else `IGNORE_INDEX`.

    Args:
        similarity: (N, C, h, w); -inf for absent classes.
        threshold: a cosine.

    Returns:
        (N, h, w) int64.
    """
    best, labels = similarity.max(dim=1)
    return torch.where(best > threshold, labels, IGNORE_INDEX)


def hybrid_labels(dynamic: Tensor, static: Tensor) -> Tensor:
    """Dynamic labels where there are any, else the static ones; both of one shape."""
    return torch.where(dynamic != IGNORE_INDEX, dynamic, static)
