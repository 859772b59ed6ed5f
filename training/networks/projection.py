"""A linear projection of features, for losses that compare directions."""

import torch
from torch import Tensor, nn

__all__ = ["Projection"]


class Projection(nn.Linear):
    """(..., D) -> (..., size) without an offset, so that the projection of a mean is the mean of projections.

    It starts orthogonal: angles stay as they are where `size` is D, and nearly so where it is less. What it starts
    from is the same in every process and run.
    """

    def __init__(self, in_features: int, size: int) -> None:
        super().__init__(in_features, size, bias=False)
        nn.init.orthogonal_(self.weight, generator=torch.Generator().manual_seed(0))

    def maps(self, features: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, size, h, w)."""
        projected: Tensor = self(features.movedim(1, -1))
        return projected.movedim(-1, 1)
