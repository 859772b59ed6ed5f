"""Batch norm by what a network has stored and, in part, by the very image it looks at.

Target frames differ: one is of a foggy morning, the next of a street at night, and statistics of all of them suit none
quite. Those of the frame at hand are blended in, as Schneider et al. (arXiv 2006.16971) blend those of a target into a
source's. A vehicle's graph has fixed statistics, so this is for making labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.statistics.batch_norm import batch_norm_layers, load_statistics, read_statistics

__all__ = ["by_frame"]


@contextmanager
def by_frame(network: nn.Module, share: float) -> Iterator[None]:
    """Inside, forward passes are normalised by the batch's own statistics with this share, the rest being stored ones.

    Args:
        network: in evaluation mode; what it stores is as it was afterwards.
        share: 0 changes nothing.
    """
    if share == 0:
        yield
        return
    stored, hooks = read_statistics(network), []

    def blend_in(mean: Tensor, var: Tensor) -> object:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            own = inputs[0].float()
            layer.get_buffer("running_mean").copy_(torch.lerp(mean, own.mean(dim=(0, 2, 3)), share))
            layer.get_buffer("running_var").copy_(torch.lerp(var, own.var(dim=(0, 2, 3), correction=0), share))

        return hook

    try:
        for name, layer in batch_norm_layers(network):
            hooks.append(layer.register_forward_pre_hook(blend_in(*stored[name])))  # type: ignore[arg-type]
        yield
    finally:
        for hook in hooks:
            hook.remove()
        load_statistics(network, stored)
