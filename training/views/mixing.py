"""Views made of others: half the classes of one crop pasted onto another, and crops with blocks taken away.

What is drawn comes from torch's generator, which the trainer seeds for every step.
"""

import torch
from torch import Tensor

from runtime.labels import IGNORE_INDEX

__all__ = ["class_mix", "mask_blocks", "mix_with_next"]


def class_mix(labels: Tensor) -> Tensor:
    """Which pixels of each crop are pasted onto another: half of the classes it shows (ClassMix, WACV 2021).

    Args:
        labels: (N, H, W) train ids of N crops; pixels without a label are not pasted.

    Returns:
        (N, H, W) bool; of k classes in a crop, those of (k + 1) // 2 drawn at random.
    """
    pasted = torch.zeros_like(labels, dtype=torch.bool)
    for mask, label in zip(pasted, labels, strict=True):
        present = torch.unique(label[label != IGNORE_INDEX])
        chosen = present[torch.randperm(len(present), device="cpu").to(present.device)[: (len(present) + 1) // 2]]
        mask |= torch.isin(label, chosen)
    return pasted


def mix_with_next(pasted: Tensor, crops: Tensor) -> Tensor:
    """What is pasted of each crop, and for the rest the next crop of the batch; the first follows the last.

    Args:
        pasted: (N, H, W) bool.
        crops: images (N, H, W, 3), or labels or weights (N, H, W).
    """
    return torch.where(pasted[..., None] if crops.dim() == 4 else pasted, crops, crops.roll(-1, 0))


def mask_blocks(images: Tensor, *, share: float, block: int) -> Tensor:
    """Crops with square blocks made black, each with probability `share` (masked image consistency, CVPR 2023).

    The authors set normalised input to 0, the mean colour.

    Args:
        images: (N, H, W, 3) uint8.
        share: of the blocks.
        block: side of a block, in pixels; those at the right and lower edge may be smaller.
    """
    num, height, width = images.shape[:3]
    rows, columns = -(-height // block), -(-width // block)
    is_kept = torch.rand(num, rows, columns) >= share
    is_kept = is_kept.repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :height, :width]
    return images * is_kept.to(images.device)[..., None]
