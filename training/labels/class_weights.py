"""Weights that keep rare classes alive in pseudo-label losses (in the authors' code only, not in the paper)."""

import torch
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.distributed import ALONE, World

__all__ = ["RareClassWeights"]

SMALL_SHARE = (
    64 * 64 / (256 * 512)
)  # the code's 64 x 64 pixels of a 256 x 512 crop, so that any crop size means the same
MEMORY = 0.9


class RareClassWeights:
    """Up to `boost` for a class that is small in this batch, times up to `boost` for one often absent.

    small_c = boost if its pixels are fewer than 3.1 % of the batch else 1
    often_c <- 0.9 often_c + 0.1 (boost if absent else 1), starting at 1
    weight_c = small_c * often_c
    """

    def __init__(self, num_classes: int, *, boost: float, device: torch.device, world: World = ALONE) -> None:
        """Start with no class known to be rare; `boost` 1 switches the weighting off.

        The batch is that of all processes of `world` together.
        """
        self.boost, self.world = boost, world
        self.often = torch.ones(num_classes, device=device)

    def update(self, labels: Tensor) -> Tensor:
        """Weights (C,) for a batch of (N, H, W) pseudo-labels, which also move the running part."""
        counts = torch.bincount(labels[labels != IGNORE_INDEX].flatten(), minlength=len(self.often))
        counts = self.world.sum(counts).to(self.often)
        small = torch.where(counts < SMALL_SHARE * labels.numel() * self.world.size, self.boost, 1.0)
        self.often = MEMORY * self.often + (1.0 - MEMORY) * torch.where(counts == 0, self.boost, 1.0)
        return small * self.often
