"""Learning from offline pseudo-labels alone, to which other methods add their terms."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from runtime.config import StrictModel
from training.labels.class_weights import RareClassWeights
from training.losses.terms import importance_weighted_loss
from training.methods.method import Needs, Setting
from training.methods.parts.loss_method import LossMethod
from training.views.batch import TargetBatch

__all__ = ["LabelTermConfig", "PseudoLabelLearning", "PseudoLabelLearningConfig"]


class LabelTermConfig(StrictModel):
    """The term that methods have in common."""

    pseudo_label: NonNegativeFloat = 1.0
    """Weight of class-weighted cross-entropy to the offline labels, dense, without a threshold."""
    rare_boost: Annotated[float, Field(ge=1.0)] = 7.0
    """1 switches the class weights off; every method of a comparison should have the same."""

    @property
    def needs(self) -> Needs:
        """The labels alone."""
        return Needs()


class PseudoLabelLearningConfig(LabelTermConfig):
    """Offline labels and nothing else: the row "P" of the IAPC paper's ablation."""

    name: Literal["pseudo_label"]


class PseudoLabelLearning(LossMethod):
    """Cross-entropy to the offline labels; others add their terms to it.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: LabelTermConfig, setting: Setting) -> None:
        super().__init__(setting)
        self.label_weight, compute = config.pseudo_label, setting.compute
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=compute.device, world=compute.world
        )

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """One term, `pseudo_label`; none where its weight is 0."""
        if self.label_weight == 0:
            return {}
        labels = batch.pseudo_labels
        everywhere = torch.ones(labels.shape, device=labels.device)
        loss = importance_weighted_loss(log_probs, labels, everywhere, self.class_weights.update(labels))
        return {"pseudo_label": self.label_weight * loss}

    def state(self) -> dict[str, Tensor]:
        """The running class weights."""
        return {"often": self.class_weights.often}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.class_weights.often = state["often"].to(self.class_weights.often)
