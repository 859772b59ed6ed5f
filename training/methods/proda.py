"""ProDA's prototype denoising (Zhang et al., CVPR 2021), its target terms alone, and so source-free.

The frozen source network's soft labels of unchanged crops are multiplied by how near a teacher's features are to the
prototype of each class; the student learns the outcome by symmetric cross-entropy, and to belong to the prototypes on
changed crops as the teacher does on unchanged ones. Left out are the source terms, and the later stages, which start
from SimCLR weights and distil.

The published prototypes start from a pass over all images; these are running means, of the first steps' crops to begin
with. Features are those that the network has, at temperature 1 as published.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from runtime.config import StrictModel
from training.labels.class_weights import RareClassWeights
from training.losses.anchors import squared_distances
from training.losses.denoising import assignment_logits, denoised_labels, symmetric_loss
from training.losses.prototypes import class_prototypes, feature_labels
from training.losses.running_means import RunningMeans
from training.losses.terms import divergence
from training.methods.class_balanced import Share, uniformity_loss
from training.methods.method import Needs, Setting
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.student import sums_by_taps
from training.methods.parts.teacher import Teacher
from training.networks.feature_channels import feature_channels
from training.networks.network import upsample
from training.views.batch import TargetBatch

__all__ = ["PrototypeDenoising", "PrototypeDenoisingConfig"]


class PrototypeDenoisingConfig(StrictModel):
    """ProDA; weights and temperature are the authors'."""

    name: Literal["proda"]
    cross_entropy: NonNegativeFloat = 0.1
    reverse: NonNegativeFloat = 1.0
    """Weight of reverse cross-entropy."""
    uniformity: NonNegativeFloat = 0.1
    """Weight of the regulariser, that of CRST (MRKLD)."""
    consistency: NonNegativeFloat = 10.0
    temperature: PositiveFloat = 1.0
    """Of belonging to prototypes, in the features' unit."""
    momentum: Share = 0.99
    """Of the prototypes; the authors' 0.9999 is for hundreds of times as many steps."""
    ema_momentum: Share = 0.999
    """Of the teacher."""
    rare_boost: Annotated[float, Field(ge=1.0)] = 7.0
    """1 switches the class weights off; every method of a comparison should have the same."""

    @property
    def needs(self) -> Needs:
        """Unchanged crops."""
        return Needs(weak=True)


class PrototypeDenoising(StudentMethod):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: PrototypeDenoisingConfig, setting: Setting) -> None:
        self.config, self._compute, self._frame_input = config, setting.compute, setting.frame_input
        self._source = setting.frozen_network()
        self._source.sum_by_taps(sums_by_taps(setting))
        size = feature_channels(setting.network)
        self._prototypes = RunningMeans(setting.num_classes, size, momentum=config.momentum, compute=setting.compute)
        self.teacher = Teacher(setting, config.ema_momentum)
        super().__init__(setting)
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=setting.compute.device, world=setting.compute.world
        )

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `symmetric`, `uniformity` and `consistency`."""
        assert batch.weak is not None
        self._clean, config = batch.clean, self.config
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        labels, assignment = self._teach(batch.weak, hw)
        output = self._student(batch.student)
        log_probs = self._student.log_probs(output, hw)
        symmetric = symmetric_loss(
            log_probs,
            labels,
            self.class_weights.update(labels),
            forwards=config.cross_entropy,
            backwards=config.reverse,
        )
        return {
            "symmetric": symmetric,
            "uniformity": config.uniformity * uniformity_loss(log_probs, labels),
            "consistency": config.consistency * divergence(self._assign(output.features), assignment),
            **self._student.likeness(batch.student, output),
        }

    @torch.no_grad()
    def _teach(self, weak: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Labels (N, *hw) of unchanged crops, and logits (N, C, h, w) of how they belong to prototypes."""
        images = self._frame_input(weak)
        with self._compute.autocast():
            logits, taught = self._source.logits(images), self.teacher.network(images)
        align_corners = self.student.align_corners
        features_hw = (int(taught.features.shape[2]), int(taught.features.shape[3]))
        own = feature_labels(taught.logits, hw, features_hw, align_corners=align_corners)
        num_classes = len(self._prototypes.times)
        self._prototypes.update_by_images(class_prototypes(taught.features.float(), own, num_classes))
        assignment = self._assign(taught.features)
        probs = upsample(logits, hw, align_corners=align_corners).softmax(dim=1)
        return denoised_labels(probs, assignment.softmax(dim=1), align_corners=align_corners), assignment

    def _assign(self, features: Tensor) -> Tensor:
        prototypes = self._prototypes
        distances = squared_distances(features.float(), prototypes.means, prototypes.is_known)
        return assignment_logits(distances, self.config.temperature)

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any, then move the teacher."""
        super().after_step()
        self.teacher.follow(self.student)

    def state(self) -> dict[str, Tensor]:
        """The teacher, the prototypes and the running class weights; the source network never changes."""
        own = {"often": self.class_weights.often}
        return {**own, **self.teacher.state(), **self._prototypes.state("prototypes")}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.teacher.load_state(state)
        self.class_weights.often = state["often"].to(self.class_weights.often)
        self._prototypes.load_state("prototypes", state)
