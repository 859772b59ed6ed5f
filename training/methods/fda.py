"""FDA: Fourier domain adaptation (Yang and Soatto, CVPR 2020).

Not source-free. The student learns source labels from source crops that have the low-frequency amplitudes of target
crops, and to be sure of the target. The paper trains three networks, with shares of 0.01, 0.05 and 0.09, averages their
predictions, and trains them again with the surest of these as labels; this is one network with one share, and the
labels it may be given are the dense offline ones of every other method. The paper changes frames of 512x1024 pixels
as a whole, here crops are changed.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from training.labels.class_weights import RareClassWeights
from training.losses.terms import importance_weighted_loss
from training.methods.method import Setting
from training.methods.parts.source_method import Seen, SourceMethod, SourceMethodConfig
from training.views.batch import TargetBatch
from training.views.spectral import swap_low_amplitude

__all__ = ["Fda", "FdaConfig", "robust_entropy"]

# Keeps the gradient finite at an entropy of 0 where the exponent is below 1/2; the authors' code's.
FLOOR = 1e-8


class FdaConfig(SourceMethodConfig):
    """FDA; the defaults are the authors'."""

    name: Literal["fda"]
    share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.01
    """Of a crop's shorter side: frequencies up to it are given the target's amplitude, at least those of one cycle."""
    entropy: NonNegativeFloat = 0.005
    exponent: PositiveFloat = 2.0
    """Of the squared entropy: above 1/2, unsure pixels count for more."""
    pseudo_label: NonNegativeFloat = 0.0
    """Weight of class-weighted cross-entropy to the offline labels; the paper's second stage has 1."""
    rare_boost: Annotated[float, Field(ge=1.0)] = 7.0
    """Of the offline labels; 1 switches the class weights off."""


class Fda(SourceMethod):
    """Source labels of crops in the target's style, and robust entropy; see the module.

    Args:
        config: share and weights.
        setting: what it starts from.
    """

    def __init__(self, config: FdaConfig, setting: Setting) -> None:
        super().__init__(setting)
        self.config, compute = config, setting.compute
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=compute.device, world=compute.world
        )

    def source_images(self, batch: TargetBatch) -> Tensor:
        """Source crops in the style of the target crops of the same places; their colours are not clipped."""
        assert batch.source is not None
        assert batch.weak is not None
        images, donors = (crops.float().permute(0, 3, 1, 2) for crops in (batch.source.images, batch.weak))
        return swap_low_amplitude(images, donors, self.config.share).permute(0, 2, 3, 1)

    def terms(self, _source: Seen, target: Seen, batch: TargetBatch) -> dict[str, Tensor]:
        """`entropy`, and `pseudo_label` where it has a weight."""
        terms = {"entropy": self.config.entropy * robust_entropy(target.log_probs, self.config.exponent)}
        if self.config.pseudo_label > 0:
            labels = batch.pseudo_labels
            everywhere = torch.ones(labels.shape, device=labels.device)
            weights = self.class_weights.update(labels)
            loss = importance_weighted_loss(target.log_probs, labels, everywhere, weights)
            terms["pseudo_label"] = self.config.pseudo_label * loss
        return terms

    def state(self) -> dict[str, Tensor]:
        """The running class weights."""
        return {"often": self.class_weights.often}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.class_weights.often = state["often"].to(self.class_weights.often)


def robust_entropy(log_probs: Tensor, exponent: float) -> Tensor:
    """Charbonnier penalty of entropy: mean of (h^2 + 1e-8)^exponent, h being a pixel's as a share of log C; scalar.

    Args:
        log_probs: (N, C, H, W).
        exponent: positive.
    """
    entropy = -(log_probs.exp() * log_probs).sum(dim=1) / math.log(log_probs.shape[1])
    return (entropy.square() + FLOOR).pow(exponent).mean()
