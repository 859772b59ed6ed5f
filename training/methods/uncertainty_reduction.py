"""UR: uncertainty reduction for model adaptation in semantic segmentation (Sivaprasad, Fleuret, CVPR 2021).

Four more classifiers see the features with half of their channels dropped, and are to say what the classifier says
without: features that carry a class by many channels are robust. Class-balanced labels and entropy do the rest. The
additional classifiers begin as copies of the network's own, and outputs are compared at the classifier's resolution
and not at the crop's; both are our reading.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.methods.class_balanced import RoundsConfig, Share
from training.methods.entropy import normalised_entropy
from training.methods.method import Setting
from training.methods.pseudo_label import PseudoLabelLearning
from training.networks.network import SegmentationNetwork
from training.views.batch import TargetBatch

__all__ = ["UncertaintyReduction", "UncertaintyReductionConfig", "disagreement", "head_calls"]


class UncertaintyReductionConfig(RoundsConfig):
    """UR; the defaults are the authors'."""

    name: Literal["uncertainty_reduction"]
    rounds: PositiveInt = 1
    entropy: NonNegativeFloat = 1.0
    """Weight of the entropy as a share of the largest there can be."""
    agreement: NonNegativeFloat = 0.1
    """Weight of the squared difference of each additional classifier's prediction."""
    num_heads: PositiveInt = 4
    dropout: Share = 0.5
    """Probability with which a channel is dropped."""


class UncertaintyReduction(PseudoLabelLearning):
    """Class-balanced labels, entropy and agreement under dropout; see the module.

    Raises:
        ConfigError: the network names no classifier.
    """

    def __init__(self, config: UncertaintyReductionConfig, setting: Setting) -> None:
        if not setting.network.head:
            raise ConfigError(
                "adaptation.method uncertainty_reduction copies the network's classifier, and the network names none; "
                "give its dotted name in model.head_layer, or choose another method"
            )
        super().__init__(config, setting)
        self._config, self._compute = config, setting.compute
        own = self.student.get_submodule(self.student.head)
        self.heads = nn.ModuleList(copy.deepcopy(own) for _ in range(config.num_heads))

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `pseudo_label`, `entropy` and `agreement`.

        Raises:
            ConfigError: the classifier does not map one feature map to one map of logits.
        """
        with head_calls(self.student) as calls:
            terms = super().losses(batch)
        features, logits = _map_to_map(calls, self.student.head)
        with self._compute.autocast():
            others = [head(F.dropout2d(features, self._config.dropout)) for head in self.heads.children()]
        return {**terms, "agreement": self._config.agreement * disagreement(others, logits)}

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label` and `entropy`."""
        return {**super().terms(log_probs, batch), "entropy": self._config.entropy * normalised_entropy(log_probs)}


def disagreement(others: list[Tensor], logits: Tensor) -> Tensor:
    """Sum over classifiers of the mean squared difference of their probabilities from the network's own; scalar.

    Args:
        others: logits (N, C, h, w) of each additional classifier.
        logits: (N, C, h, w), the network's own, which are not to move.
    """
    expected = logits.detach().float().softmax(dim=1)
    return torch.stack([F.mse_loss(other.float().softmax(dim=1), expected) for other in others]).sum()


@contextmanager
def head_calls(network: SegmentationNetwork) -> Iterator[list[tuple[Any, Any]]]:
    """What the network's classifier is given, a tuple, and what it returns, of every call meanwhile."""
    calls: list[tuple[Any, Any]] = []
    # A hook that outlived the call would be copied with the student, whose copies label and are delivered.
    handle = network.get_submodule(network.head).register_forward_hook(
        lambda module, inputs, output: calls.append((inputs, output))
    )
    try:
        yield calls
    finally:
        handle.remove()


def _map_to_map(calls: list[tuple[Any, Any]], head: str) -> tuple[Tensor, Tensor]:
    """The feature map and the logits of the last call."""
    (inputs, output) = calls[-1] if calls else ((), None)
    maps = [one for one in (*inputs, output) if isinstance(one, Tensor) and one.dim() == 4]
    if len(maps) != 2 or len(inputs) != 1:
        got = f"{len(inputs)} input(s), of which maps with its output: {len(maps)}" if calls else "no call at all"
        raise ConfigError(
            f"adaptation.method uncertainty_reduction: the network's classifier {head!r} must turn one map (N, D, h, w)"
            f" into one of logits, got {got}; name the module that does in model.head_layer, or choose another method"
        )
    return maps[0], maps[1]
