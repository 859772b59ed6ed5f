"""Batch-norm statistics matching: what reaches the student's layers is to be distributed as in the source network.

Stored means and variances are all that a network keeps of its training data. Nothing is trained besides the student,
and nothing is drawn, so the term costs two sums per layer.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from runtime.errors import ConfigError
from training.distributed import ALONE, World
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import read_statistics

__all__ = ["StatisticsMatching", "statistics_distance"]


class StatisticsMatching:
    """Remembers the statistics that a network has now, and tells how far those of a batch are from them.

    They are those that the network starts with: where target statistics were blended in before, the blend. With
    `adaptation.statistics_share: 0` they are the source's own.

    Args:
        network: the source network, before it learns.
        world: whose processes share the batch.
        method: its name in the config, for the message.

    Raises:
        ConfigError: the network has no batch norm.
    """

    def __init__(self, network: SegmentationNetwork, world: World, *, method: str) -> None:
        self._statistics, self._world = read_statistics(network), world
        if not self._statistics:
            raise ConfigError(
                f"adaptation.method {method} matches the statistics of batch norm, and the network has none; choose "
                "another method"
            )

    @contextmanager
    def watched(self, student: SegmentationNetwork) -> Iterator[list[Tensor]]:
        """The distances, one per layer, of all batches that a network of this form is called on meanwhile."""
        distances: list[Tensor] = []
        # A hook that outlived the call would be copied with the student, whose copies label and are delivered.
        with ExitStack() as hooks:
            for name, (mean, var) in self._statistics.items():
                measure = partial(self._measure, distances, mean, var)
                hooks.callback(student.get_submodule(name).register_forward_pre_hook(measure).remove)
            yield distances

    def _measure(
        self, distances: list[Tensor], mean: Tensor, var: Tensor, layer: _BatchNorm, inputs: tuple[Tensor, ...]
    ) -> None:
        distances.append(statistics_distance(inputs[0], mean, var, eps=layer.eps, world=self._world))


def statistics_distance(inputs: Tensor, mean: Tensor, var: Tensor, *, eps: float, world: World = ALONE) -> Tensor:
    """Squared distance of a batch's means and standard deviations from given ones, summed over channels; scalar.

    Args:
        inputs: (N, D, ...).
        mean: (D,).
        var: (D,).
        eps: added to both variances before their roots are taken, as the layer does: a dead channel has a gradient.
        world: whose processes share the batch.
    """
    dims = [0, *range(2, inputs.dim())]
    own_var, own_mean = torch.var_mean(inputs.float(), dim=dims, correction=0)
    batch_mean = world.mean(own_mean)
    batch_var = world.mean(own_var + (own_mean - batch_mean).square())
    deviation = torch.sqrt(batch_var + eps) - torch.sqrt(var + eps)
    return (batch_mean - mean).square().sum() + deviation.square().sum()
