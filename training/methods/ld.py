"""LD: domain adaptive segmentation without source data by label denoising (You et al., ACM MM 2021), its first stage.

Class-balanced labels in rounds, entropy, and negative learning: a class of middling rank is most likely not the right
one, and every pixel can be told so, labelled or not. The published labels also take the surest tenth of each image;
these take the class-balanced share alone.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from training.batch import TargetBatch
from training.losses import information_maximisation_loss
from training.methods.class_balanced import RoundsConfig, Share
from training.methods.method import Setting
from training.methods.pseudo_label import PseudoLabelLearning

__all__ = ["LabelDenoising", "LabelDenoisingConfig", "negative_loss"]

# How far from the middle of all ranks the class is drawn from; the authors' value.
SPREAD = 3
# Probabilities nearer to 1 than this have no logarithm of what is left.
SMALLEST = 1e-5


class LabelDenoisingConfig(RoundsConfig):
    """LD; the defaults are the authors'."""

    name: Literal["label_denoising"]
    rounds: PositiveInt = 2
    share: Share = 0.1
    entropy: NonNegativeFloat = 1.0
    negative: NonNegativeFloat = 1.0


class LabelDenoising(PseudoLabelLearning):
    """Class-balanced labels, entropy and negative learning; see `PseudoLabelLearning`."""

    def __init__(self, config: LabelDenoisingConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.entropy_weight, self.negative_weight = config.entropy, config.negative

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label`, `entropy` in nats and `negative`."""
        middle = log_probs.shape[1] // 2
        drawn = int(torch.randint(-SPREAD, SPREAD + 1, ()))
        rank = min(max(middle + drawn, 1), log_probs.shape[1] - 1)
        return {
            **super().terms(log_probs, batch),
            "entropy": self.entropy_weight * information_maximisation_loss(log_probs),
            "negative": self.negative_weight * negative_loss(log_probs, rank),
        }


def negative_loss(log_probs: Tensor, rank: int) -> Tensor:
    """-log(1 - p) of the class of a rank in each pixel's prediction, 0 being the largest; mean over pixels, scalar.

    Args:
        log_probs: (N, C, H, W).
        rank: the same for every pixel.
    """
    ranked = log_probs.exp().topk(rank + 1, dim=1).values[:, rank]
    return -torch.log((1 - ranked).clamp(min=SMALLEST)).mean()
