"""Batch-norm statistics: re-estimated on target frames, blended with the source's, chosen without labels.

Under a change of light most of the loss in accuracy is stale statistics, and offline pseudo-labels made with
them teach exactly that error. How far to move them depends on network and target, so it is measured.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "Statistics",
    "affine_parameters",
    "batch_norm_layers",
    "blend",
    "estimate_statistics",
    "freeze_affine",
    "has_statistics",
    "load_statistics",
    "read_statistics",
    "statistics_distance",
    "use_batch_statistics",
]

# A channel that never changes has no variance to divide by; batch norm itself adds as much.
SMALLEST = 1e-5
Statistics = dict[str, tuple[Tensor, Tensor]]


def has_statistics(network: nn.Module) -> bool:
    """Whether a network has any batch-norm layer that keeps statistics; transformers may have none."""
    return bool(batch_norm_layers(network))


def read_statistics(network: nn.Module) -> Statistics:
    """Running mean and variance (each (channels,)) of every batch-norm layer, by layer name."""
    return {name: (_mean(layer).clone(), _var(layer).clone()) for name, layer in batch_norm_layers(network)}


def load_statistics(network: nn.Module, statistics: Statistics) -> None:
    """Write statistics as `read_statistics` gives them into the network."""
    for name, layer in batch_norm_layers(network):
        mean, var = statistics[name]
        _mean(layer).copy_(mean)
        _var(layer).copy_(var)


def statistics_distance(source: Statistics, target: Statistics) -> float:
    """How far a target is from the source in the eyes of a network: a mean over channels, then over layers.

    Of each channel, how many of the source's standard deviations the mean moved, plus the absolute logarithm of the
    ratio of the standard deviations. Ours; frames of the source's own domain have about 0.05 (other frames, at another
    size than the training crops), changes of weather and light 0.15 and more.
    """
    distances = []
    for name, (mean, var) in target.items():
        own_mean, own_var = source[name]
        moved = (mean - own_mean).abs() / (own_var + SMALLEST).sqrt()
        spread = 0.5 * ((var + SMALLEST) / (own_var + SMALLEST)).log().abs()
        distances.append((moved + spread).mean())
    return float(torch.stack(distances).mean())


def blend(source: Statistics, target: Statistics, target_share: float) -> Statistics:
    """`(1 - share) * source + share * target`, for means and for variances."""
    return {
        name: (torch.lerp(source[name][0], mean, target_share), torch.lerp(source[name][1], var, target_share))
        for name, (mean, var) in target.items()
    }


def estimate_statistics(
    network: nn.Module, forward: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> Statistics:
    """Statistics of the network on a set of batches ("precise BN"): the plain average over all batches.

    Args:
        network: whose batch-norm layers are read; its mode and its own statistics are left as they were.
        forward: runs the network on one batch.
        batches: at least one batch.
    """
    kept = read_statistics(network)
    modes = {module: module.training for module in network.modules()}
    momenta = {layer: layer.momentum for _, layer in batch_norm_layers(network)}
    try:
        network.eval()
        for _, layer in batch_norm_layers(network):
            layer.reset_running_stats()
            layer.training = True
            layer.momentum = None  # torch's notation for the cumulative average
        with torch.no_grad():
            for batch in batches:
                forward(batch)
        return read_statistics(network)
    finally:
        load_statistics(network, kept)
        for module, mode in modes.items():
            module.training = mode
        for layer, momentum in momenta.items():
            layer.momentum = momentum


def affine_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Scales and offsets of every batch-norm layer that has them."""
    return [parameter for _, layer in batch_norm_layers(network) for parameter in layer.parameters()]


def freeze_affine(network: nn.Module) -> None:
    """Stop gradients to every batch-norm scale and offset, as the authors' code does while adapting."""
    for _, layer in batch_norm_layers(network):
        layer.requires_grad_(False)


def use_batch_statistics(network: nn.Module) -> None:
    """Evaluation mode, dropout off, but for batch-norm layers, which normalise by the batch.

    Only the layers themselves: some libraries' batch norm holds activation and dropout as children.
    """
    network.eval()
    for _, layer in batch_norm_layers(network):
        layer.training = True


def batch_norm_layers(network: nn.Module) -> Sequence[tuple[str, _BatchNorm]]:
    """Every batch-norm layer that keeps statistics, by name."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


def _mean(layer: _BatchNorm) -> Tensor:
    assert layer.running_mean is not None
    return layer.running_mean


def _var(layer: _BatchNorm) -> Tensor:
    assert layer.running_var is not None
    return layer.running_var
