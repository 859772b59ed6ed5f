"""DAFormer-style self-training (Hoyer, Dai, Van Gool, CVPR 2022) as its source-free port, with masked consistency.

A teacher labels unchanged crops; the student learns its labels on crops whose colours are changed, mixed with one
another class by class. The published method mixes source classes into target crops and learns from source labels; the
port mixes targets alone, as LDBE and CROTS do, and starts from the offline labels' network. Masked consistency is that
of MIC (Hoyer et al., CVPR 2023): the same labels from crops with blocks taken away.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from runtime.config import StrictModel
from training.labels.class_weights import RareClassWeights
from training.methods.method import Needs, Setting
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.teacher import Taught, Teacher
from training.networks.network import NetworkOutput, upsample
from training.views.batch import TargetBatch
from training.views.mixing import class_mix, mask_blocks, mix_with_next

__all__ = [
    "Mixed",
    "SelfTraining",
    "SelfTrainingConfig",
    "TeacherTermConfig",
    "confident_share",
    "labels_and_weights",
    "taught_loss",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TeacherTermConfig(StrictModel):
    """Online labels of a teacher: what methods that learn from them have in common."""

    ema_momentum: Share = 0.999
    threshold: Share = 0.968
    """A crop counts for as much as the share of its pixels of which the teacher is surer than this."""
    mixed: NonNegativeFloat = 1.0
    """Weight of the labels of mixed crops."""
    masked: NonNegativeFloat = 1.0
    """Weight of those of masked crops; 0 leaves the second forward pass out."""
    masked_share: Share = 0.7
    masked_block: PositiveInt = 32
    """Pixels; the authors' 64 of crops of 1024."""
    rare_boost: Annotated[float, Field(ge=1.0)] = 7.0
    """1 switches the class weights off; every method of a comparison should have the same."""

    @property
    def needs(self) -> Needs:
        """Unchanged crops for the teacher."""
        return Needs(weak=True)


class SelfTrainingConfig(TeacherTermConfig):
    """Self-training on target crops alone."""

    name: Literal["self_training"]


class Mixed(NamedTuple):
    """Crops of two looks: where `pasted` (N, H, W) bool says so a crop shows the one, elsewhere the other.

    `images` (N, H, W, 3) uint8; `labels` (N, H, W) train ids, and `weights` (N, H, W), how much each pixel counts.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    pasted: Tensor


class SelfTraining(StudentMethod):
    """See the module. Others change `teach`, who says what is right, `mix`, and the terms of mixed crops.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: TeacherTermConfig, setting: Setting) -> None:
        self.config, compute = config, setting.compute
        self.teacher = Teacher(setting, config.ema_momentum)
        super().__init__(setting)
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=compute.device, world=compute.world
        )

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `mixed` and `masked`."""
        assert batch.weak is not None
        self._clean = batch.clean
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        target_labels, weight = self.teach(batch.weak, hw)
        class_weights = self.class_weights.update(target_labels)
        terms: dict[str, Tensor] = {}
        if self.config.mixed > 0:
            mixed = self.mix(batch, target_labels, weight)
            output = self._student(mixed.images)
            terms |= self.mixed_terms(output, mixed, class_weights)
            terms |= self._student.likeness(mixed.images, output)
        if self.config.masked > 0:
            images = mask_blocks(batch.student, share=self.config.masked_share, block=self.config.masked_block)
            output = self._student(images)
            if self.config.mixed == 0:
                terms |= self._student.likeness(images, output)
            log_probs = self._student.log_probs(output, hw)
            terms["masked"] = self.config.masked * taught_loss(log_probs, target_labels, weight, class_weights)
        return terms

    def teach(self, weak: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What target crops are taught: labels (N, *hw), and how much each pixel counts, (N, *hw) in [0, 1]."""
        taught = self.teacher.teach(weak, hw)
        weight = confident_share(taught, self.config.threshold)[:, None, None]
        return taught.labels, weight.expand_as(taught.confidence)

    def mix(self, batch: TargetBatch, labels: Tensor, weights: Tensor) -> Mixed:
        """Each target crop with half of its classes, the rest of it the next crop of the batch.

        Args:
            batch: one step's.
            labels: (N, H, W) of its crops.
            weights: (N, H, W), how much each pixel of them counts.
        """
        pasted = class_mix(labels)
        return Mixed(
            mix_with_next(pasted, batch.student),
            mix_with_next(pasted, labels),
            mix_with_next(pasted, weights),
            pasted,
        )

    def mixed_terms(self, output: NetworkOutput, mixed: Mixed, class_weights: Tensor) -> dict[str, Tensor]:
        """The weighted terms of what the student makes of mixed crops; class weights are (C,)."""
        hw = (int(mixed.labels.shape[1]), int(mixed.labels.shape[2]))
        loss = taught_loss(self._student.log_probs(output, hw), mixed.labels, mixed.weights, class_weights)
        return {"mixed": self.config.mixed * loss}

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any, then move the teacher."""
        super().after_step()
        self.teacher.follow(self.student)

    def state(self) -> dict[str, Tensor]:
        """The teacher and the running class weights."""
        return {**self.teacher.state(), "often": self.class_weights.often}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.teacher.load_state(state)
        self.class_weights.often = state["often"].to(self.class_weights.often)


def labels_and_weights(
    seen: NetworkOutput, hw: tuple[int, int], threshold: float, *, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """What a teacher's output teaches at size `hw`: labels (N, *hw), and how much each pixel counts, (N, *hw)."""
    confidence, labels = upsample(seen.logits, hw, align_corners=align_corners).softmax(dim=1).max(dim=1)
    weights = confident_share(Taught(labels, confidence), threshold)[:, None, None]
    return labels, weights.expand_as(confidence)


def confident_share(taught: Taught, threshold: float) -> Tensor:
    """Share of the pixels of each crop whose confidence is above a threshold, (N,)."""
    return (taught.confidence > threshold).float().mean(dim=(1, 2))


def taught_loss(log_probs: Tensor, labels: Tensor, weights: Tensor, class_weights: Tensor) -> Tensor:
    """Mean over all pixels of weight times class weight times cross-entropy; scalar.

    Args:
        log_probs: (N, C, H, W).
        labels: (N, H, W) train ids.
        weights: (N, H, W).
        class_weights: (C,).
    """
    return (weights * F.nll_loss(log_probs, labels, weight=class_weights, reduction="none")).mean()
