"""Batch norm over the batches of all processes: the same network, whatever the number of processes.

Parameters and statistics are those of `nn.BatchNorm2d`, by the same names, and files do not change.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from runtime.errors import ConfigError
from training.device import Compute
from training.distributed import ALONE, World

__all__ = ["GlobalBatchNorm2d", "by_global_batch", "by_own_batch"]

Network = TypeVar("Network", bound=nn.Module)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """(N, C, H, W) -> (N, C, H, W), normalised by the batches of all processes, which are equal in size.

    For CPUs, on which torch's `nn.SyncBatchNorm` refuses to work.
    """

    world: World = ALONE

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """In evaluation mode as `nn.BatchNorm2d`."""
        if not self.training:
            return super().forward(input)
        image = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        mean = self.world.mean(image.mean(dim=(0, 2, 3)))
        centred = image - mean[:, None, None]
        var = self.world.mean(centred.square().mean(dim=(0, 2, 3)))
        self._move_statistics(mean.detach(), var.detach(), image.numel() // image.shape[1] * self.world.size)
        normalised = centred * torch.rsqrt(var + self.eps)[:, None, None]
        if self.affine:
            normalised = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _move_statistics(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Towards the mean and the unbiased variance of `count` pixels, as `nn.BatchNorm2d` does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * count / (count - 1), share)


def by_global_batch(network: Network, compute: Compute) -> Network:
    """Let every layer that normalises by the batch do so by the batches of all processes; done in place.

    Raises:
        ConfigError: a layer normalises by the batch in a way of its own.
    """
    if compute.world.size == 1:
        return network
    for name, layer in _layers(network):
        if not layer.training and layer.running_mean is not None:
            continue
        if type(layer) is not nn.BatchNorm2d:
            raise ConfigError(
                f"the network's layer {name} is of type {type(layer).__name__}, which normalises by the batch of one "
                "process alone; use nn.BatchNorm2d, adaptation.student_statistics=fixed, or a single process"
            )
        made = _remade(layer, nn.SyncBatchNorm if compute.device.type == "cuda" else GlobalBatchNorm2d)
        made.world = compute.world
        network.set_submodule(name, made)
    return network


def by_own_batch(network: Network) -> Network:
    """Undo `by_global_batch`, in place: a network that one process alone can put to use."""
    for name, layer in _layers(network):
        if isinstance(layer, GlobalBatchNorm2d | nn.SyncBatchNorm):
            network.set_submodule(name, _remade(layer, nn.BatchNorm2d))
    return network


def _layers(network: nn.Module) -> list[tuple[str, _BatchNorm]]:
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, _BatchNorm)]


def _remade(layer: _BatchNorm, kind: Any) -> Any:
    """The layer as another kind, sharing its parameters and statistics."""
    made = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    made.weight, made.bias = layer.weight, layer.bias
    made.running_mean, made.running_var = layer.running_mean, layer.running_var
    made.num_batches_tracked = layer.num_batches_tracked
    return made.train(layer.training)
