"""Class prototypes of one image and the similarity of features to them (arXiv 2306.01598, eqs. 7 and 8)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["AbsentForm", "class_prototypes", "feature_labels", "prototype_similarity"]

AbsentForm = Literal["mask", "zero"]


def feature_labels(
    logits: Tensor, crop_hw: tuple[int, int], features_hw: tuple[int, int], *, align_corners: bool = False
) -> Tensor:
    """Labels at feature resolution: argmax of the upsampled logits, sampled by nearest neighbour.

    That is how the reference code gets them; here only the pixels that are sampled are interpolated.

    Args:
        logits: (N, C, h, w).
        crop_hw: what they would be upsampled to.
        features_hw: size (h', w') of the features.
        align_corners: how the logits lie on the crop.

    Returns:
        (N, h', w') int64.
    """
    places = []
    for num_pixels, num_cells in zip(crop_hw, features_hw, strict=True):
        pixels = torch.arange(num_cells, device=logits.device) * num_pixels // num_cells
        places.append(2 * pixels / (num_pixels - 1) - 1 if align_corners else (2 * pixels + 1) / num_pixels - 1)
    grid = torch.stack(torch.meshgrid(places[1], places[0], indexing="xy"), dim=-1)
    grid = grid.expand(logits.shape[0], -1, -1, -1)
    sampled = F.grid_sample(logits.float(), grid, padding_mode="border", align_corners=align_corners)
    return sampled.argmax(dim=1)


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
