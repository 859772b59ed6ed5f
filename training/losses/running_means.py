"""Running means of a vector of each class, over the steps of a run."""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.device import Compute

__all__ = ["RunningMeans"]


class RunningMeans:
    """`means` (C, D), zero rows for classes never seen; `times` (C,), in how many steps each was seen.

    mean <- m mean + (1 - m) new, with m = min(1 - 1 / k, momentum) the k-th time a class is seen: the plain mean to
    begin with, so that no first value has to be made up. A momentum of 1 keeps the plain mean.
    """

    def __init__(self, num_classes: int, size: int, *, momentum: float, compute: Compute) -> None:
        """Start with no class known; the values of a step are those of all processes of `compute.world`."""
        self._momentum, self._world = momentum, compute.world
        self.means = torch.zeros(num_classes, size, device=compute.device)
        self.times = torch.zeros(num_classes, device=compute.device)

    @property
    def is_known(self) -> Tensor:
        """Which classes were seen, (C,) bool."""
        return self.times > 0

    @torch.no_grad()
    def update(self, sums: Tensor, counts: Tensor) -> None:
        """Move towards the means of a step.

        Args:
            sums: (C, D), over whatever was seen of each class.
            counts: (C,), how many were summed; classes of 0 stay as they are.
        """
        sums, counts = self._world.sum(sums.detach().float()), self._world.sum(counts.float())
        is_seen = counts > 0
        self.times = self.times + is_seen
        share = (1 / self.times.clamp(min=1)).clamp(min=1 - self._momentum)
        moved = torch.lerp(self.means, sums / counts.clamp(min=1)[:, None], share[:, None])
        self.means = torch.where(is_seen[:, None], moved, self.means)

    def update_by_images(self, prototypes: Tensor) -> None:
        """Move towards the mean over images of prototypes (N, C, D), of which zero rows mark absent classes."""
        self.update(prototypes.sum(dim=0), (prototypes != 0).any(dim=2).sum(dim=0))

    def state(self, name: str) -> dict[str, Tensor]:
        """Its tensors, named below `name`."""
        return {f"{name}/means": self.means, f"{name}/times": self.times}

    def load_state(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.means, self.times = state[f"{name}/means"].to(self.means), state[f"{name}/times"].to(self.times)
