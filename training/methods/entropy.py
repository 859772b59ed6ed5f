"""MinEnt: direct entropy minimisation (Vu et al., "ADVENT", CVPR 2019), source-free.

The published form adds cross-entropy on labelled source images, which keeps it from drifting towards frequent classes.
Here the offline labels do; with a `pseudo_label` weight of 0 it is the bare loss.
"""

import math
from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor

from training.losses.terms import information_maximisation_loss
from training.methods.method import Setting
from training.methods.pseudo_label import LabelTermConfig, PseudoLabelLearning
from training.views.batch import TargetBatch

__all__ = ["EntropyConfig", "EntropyMinimisation", "normalised_entropy"]


class EntropyConfig(LabelTermConfig):
    """Entropy minimisation."""

    name: Literal["min_entropy"]
    entropy: NonNegativeFloat = 1.0
    """Weight; the published one, beside source labels, is 0.001. 1 is about a third of IAPC's information term of 0.5
    with 19 classes, because this one is divided by log C."""


class EntropyMinimisation(PseudoLabelLearning):
    """Offline labels and entropy; see `PseudoLabelLearning`."""

    def __init__(self, config: EntropyConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.entropy_weight = config.entropy

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label` and `entropy`."""
        return {**super().terms(log_probs, batch), "entropy": self.entropy_weight * normalised_entropy(log_probs)}


def normalised_entropy(log_probs: Tensor) -> Tensor:
    """Mean entropy of (N, C, H, W) log-probabilities as a share of the largest there can be, log C; scalar."""
    return information_maximisation_loss(log_probs) / math.log(log_probs.shape[1])
