"""A discriminator that tells source predictions from target predictions, and learns beside the student."""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.device import Compute

__all__ = ["SOURCE", "TARGET", "Adversary", "Discriminator", "domain_loss"]

SOURCE, TARGET = 0.0, 1.0
# Each of five convolutions halves the map.
SMALLEST_SIDE = 32


def domain_loss(scores: Tensor, domain: float) -> Tensor:
    """Binary cross-entropy of scores, logits of being of the target, to one domain for all; mean, scalar."""
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, domain))


class Discriminator(nn.Sequential):
    """(N, C, H, W) maps -> (N, 1, H // 32, W // 32) logits of being of the target.

    Five convolutions 4x4 of stride 2 with 64, 128, 256, 512 and 1 channels, leaky ReLU of slope 0.2 between them
    (Tsai et al., CVPR 2018).
    """

    def __init__(self, num_channels: int) -> None:
        widths = [num_channels, 64, 128, 256, 512]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1))


class Adversary:
    """A discriminator and its optimiser, Adam with momenta of 0.9 and 0.99 as in the authors' code.

    It computes in float32. Its rate stays; the authors' decays over 250,000 steps, of which they run 150,000.

    Args:
        num_channels: of the maps.
        rate: of learning.
        compute: where, and which processes share the batch.
    """

    def __init__(self, num_channels: int, rate: float, compute: Compute) -> None:
        self.discriminator = compute.place(Discriminator(num_channels)).requires_grad_(False)
        self._optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=(0.9, 0.99))
        self._world = compute.world

    def fooled_loss(self, maps: Tensor) -> Tensor:
        """How far target maps (N, C, H, W) are from being taken for the source's; its gradient is for the student.

        Raises:
            ConfigError: the maps are smaller than the discriminator can halve.
        """
        if min(maps.shape[2:]) < SMALLEST_SIDE:
            raise ConfigError(
                f"adaptation.views.crop_hw is {tuple(maps.shape[2:])}, and the discriminator halves a crop five times; "
                f"use at least {SMALLEST_SIDE} pixels along both sides, or a method without an adversary"
            )
        return domain_loss(self.discriminator(maps), SOURCE)

    def learn(self, source: Tensor, target: Tensor) -> None:
        """One step on maps (N, C, H, W) of both domains, which carry no gradient to the student."""
        self.discriminator.requires_grad_(True)
        scores = self.discriminator(source.detach()), self.discriminator(target.detach())
        torch.autograd.backward((domain_loss(scores[0], SOURCE) + domain_loss(scores[1], TARGET)) / 2)
        for parameter in self.discriminator.parameters():
            assert parameter.grad is not None
            parameter.grad = self._world.sum(parameter.grad) / self._world.size
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)

    def state(self) -> dict[str, Tensor]:
        """Weights, and the optimiser's moments and steps."""
        weights = {f"discriminator/{name}": tensor for name, tensor in self.discriminator.state_dict().items()}
        moments = {
            f"adam/{name}/{key}": value
            for name, parameter in self.discriminator.named_parameters()
            for key, value in self._optimizer.state.get(parameter, {}).items()
        }
        return {**weights, **moments}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.discriminator.load_state_dict(_below("discriminator/", state))
        for name, parameter in self.discriminator.named_parameters():
            moments = _below(f"adam/{name}/", state)
            if moments:
                self._optimizer.state[parameter] = {
                    key: value.clone() if key == "step" else torch.empty_like(parameter).copy_(value)
                    for key, value in moments.items()
                }


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
