"""Changed colours of crops that are tensors already, where `training.views.photometric` changes whole frames on disk.

What is drawn comes from torch's generator, which the trainer seeds for every step.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

__all__ = ["blur", "jitter"]

# DAFormer's: strength, share of crops, and standard deviations in pixels. Nine pixels hold all of the widest Gaussian.
_JITTER = v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2)], p=0.8)
_BLUR = v2.RandomApply([v2.GaussianBlur(kernel_size=9, sigma=(0.15, 1.15))], p=0.5)


def jitter(crops: Tensor) -> Tensor:
    """Each crop, with probability 0.8, with other brightness, contrast, saturation and hue, each by up to a fifth.

    Args:
        crops: (N, H, W, 3) uint8.
    """
    return _each(_JITTER, crops)


def blur(crops: Tensor) -> Tensor:
    """Each crop blurred with probability 0.5.

    Args:
        crops: (N, H, W, 3) uint8, at least 5 pixels high and wide.
    """
    return _each(_BLUR, crops)


def _each(change: v2.Transform, crops: Tensor) -> Tensor:
    """The change of every crop, drawn for each of its own."""
    return torch.stack([change(crop) for crop in crops.movedim(3, 1)]).movedim(1, 3)
