"""CBST and CRST: class-balanced self-training (Zou et al., ECCV 2018) and its confidence regularisation (ICCV 2019).

Rounds of training, each on labels that the student of the round before gave; see `training.labels.class_balanced`. The
published runs also train on some labelled source images; these do not. CRST here is MRKLD, the regulariser that keeps
predictions of labelled pixels from becoming certain.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.methods.method import Needs, Rounds, Setting
from training.methods.pseudo_label import LabelTermConfig, PseudoLabelLearning
from training.views.batch import TargetBatch

__all__ = ["ClassBalanced", "ClassBalancedConfig", "RoundsConfig", "Share", "uniformity_loss"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class RoundsConfig(LabelTermConfig):
    """Rounds of class-balanced labels; the defaults are the authors' first three of their rounds.

    Published methods begin every round with a learning rate of its own; here one schedule runs through all of them.
    """

    rounds: PositiveInt = 3
    share: Share = 0.2
    """Of the pixels of each class, those labelled in the first round."""
    share_step: Share = 0.05
    """How many more in every further round."""

    @property
    def needs(self) -> Needs:
        """Labels by rounds."""
        return Needs(rounds=Rounds(self.rounds, self.share, self.share_step))


class ClassBalancedConfig(RoundsConfig):
    """CBST; CRST with `uniformity` above 0."""

    name: Literal["class_balanced"]
    uniformity: NonNegativeFloat = 0.0
    """Weight of the regulariser of CRST (MRKLD); the authors' value is 0.1."""


class ClassBalanced(PseudoLabelLearning):
    """Class-balanced labels, and the regulariser; see `PseudoLabelLearning`."""

    def __init__(self, config: ClassBalancedConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.uniformity = config.uniformity

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label`; with CRST also `uniformity`."""
        terms = super().terms(log_probs, batch)
        if self.uniformity > 0:
            terms["uniformity"] = self.uniformity * uniformity_loss(log_probs, batch.pseudo_labels)
        return terms


def uniformity_loss(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the uniform distribution to the prediction, over labelled pixels, as a mean over all; scalar.

    Args:
        log_probs: (N, C, H, W).
        labels: (N, H, W); pixels without a label add nothing.
    """
    is_labelled = labels != IGNORE_INDEX
    return torch.where(is_labelled, -log_probs.mean(dim=1), 0.0).mean()
