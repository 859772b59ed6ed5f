"""Class prototypes of one image and the similarity of features to them (arXiv 2306.01598, eqs. 7 and 8)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["AbsentForm", "class_prototypes", "prototype_similarity"]

AbsentForm = Literal["mask", "zero"]


def class_prototypes(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean feature of each class in each image (eq. 7).

    Args:
        features: (N, D, h, w), not normalised.
        labels: (N, h, w) train ids; ids outside [0, num_classes) belong to no prototype.
        num_classes: C.

    Returns:
        (N, C, D); a zero row marks a class absent from that image.
    """
    classes = torch.arange(num_classes, device=labels.device).view(1, -1, 1)
    members = (labels.flatten(1).unsqueeze(1) == classes).to(features.dtype)
    sums = members @ features.flatten(2).transpose(1, 2)
    return sums / members.sum(dim=2, keepdim=True).clamp(min=1.0)


def prototype_similarity(features: Tensor, prototypes: Tensor, absent: AbsentForm = "mask") -> Tensor:
    """Cosine similarity of each feature to each prototype of its own image (eq. 8).

    Args:
        features: (N, D, h, w).
        prototypes: (N, C, D); zero rows mark absent classes.
        absent: `mask` gives absent classes -inf (ours: they then take no part in a softmax); `zero` gives them 0,
            as in the authors' code.

    Returns:
        (N, C, h, w) in [-1, 1], or -inf.

    Raises:
        ValueError: D differs between the two inputs.
    """
    if features.shape[1] != prototypes.shape[2]:
        raise ValueError(
            f"features have {features.shape[1]} channels, prototypes {prototypes.shape[2]}; they must agree"
        )
    similarity = torch.einsum("ndhw,ncd->nchw", F.normalize(features, dim=1), F.normalize(prototypes, dim=2))
    if absent == "mask":
        is_absent = (prototypes == 0).all(dim=2)
        similarity = similarity.masked_fill(is_absent[:, :, None, None], float("-inf"))
    return similarity
