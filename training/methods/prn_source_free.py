"""PRN (Pseudo-label Refinement Network, arXiv 2310.16979) as its source-free port.

A small network beside the student corrects the teacher's labels and says where they are wrong. The published one learns
that from labelled source crops, see `training.methods.prn`; here it learns it, on target crops alone, where the teacher
can be trusted: where it gives a crop, its mirror image and a smaller copy the same class, and is sure of it. What it
is to correct there are the teacher's logits after a swap of amplitudes between crops, and those of the frozen source
network, whose errors are real ones.

All of the port is ours. The noise network's word, 1 - p(noise), takes the place of self-training's share of sure
pixels. Masked consistency, which PRN has not, is off.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from training.losses.refinement import lifted_by_class, trusted_labels
from training.methods.method import Setting
from training.methods.parts.refiner import Refiner, RefinerConfig
from training.methods.parts.student import sums_by_taps
from training.methods.self_training import Mixed, SelfTraining, TeacherTermConfig, labels_and_weights
from training.networks.network import NetworkOutput, scaled_hw, upsample
from training.views.batch import TargetBatch

__all__ = ["PrnSourceFree", "PrnSourceFreeConfig"]


class PrnSourceFreeConfig(RefinerConfig, TeacherTermConfig):
    """PRN without source data."""

    name: Literal["prn_source_free"]
    masked: NonNegativeFloat = 0.0
    smaller: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.75
    """Scale of the copy that the teacher has to label alike."""
    kept_at_least: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Mean weight of each class in a batch, so that none vanishes."""


class PrnSourceFree(SelfTraining):
    """Self-training on corrected labels; see the module."""

    def __init__(self, config: PrnSourceFreeConfig, setting: Setting) -> None:
        self.source = setting.frozen_judge()
        self.source.sum_by_taps(sums_by_taps(setting))
        self._refiner = Refiner(config, setting)
        super().__init__(config, setting)
        self.heads = self._refiner.heads
        self._settings, self._setting = config, setting
        self._taught: NetworkOutput | None = None

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The terms of self-training, `contrast` and `refinement`."""
        terms = super().losses(batch)
        assert batch.weak is not None
        assert self._taught is not None
        return {**terms, "refinement": self._refinement(batch.weak, self._taught)}

    def teach(self, weak: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Corrected labels and how much each counts; those of self-training until the correction has been learnt."""
        self._taught = self.teacher.output(weak)
        align_corners = self.student.align_corners
        if not self._refiner.is_used(self.teacher):
            return labels_and_weights(self._taught, hw, self._settings.threshold, align_corners=align_corners)
        labels, noise = self._refiner.refine(self._taught, hw, align_corners=align_corners)
        floor = self._settings.kept_at_least
        return labels, lifted_by_class(1 - noise, labels, self._setting.num_classes, floor)

    def mixed_terms(self, output: NetworkOutput, mixed: Mixed, class_weights: Tensor) -> dict[str, Tensor]:
        """`mixed`, and `contrast` between the pixels of mixed crops."""
        terms = super().mixed_terms(output, mixed, class_weights)
        return {**terms, "contrast": self._refiner.contrast(output.features, mixed.labels, mixed.weights)}

    def _refinement(self, weak: Tensor, taught: NetworkOutput) -> Tensor:
        """What the network learns from wrong logits: swapped ones and the source network's."""
        with torch.no_grad(), self._setting.compute.autocast():
            source = self.source.logits(self._setting.frame_input(weak)).float()
        given = torch.cat([self._refiner.perturbed(taught.logits, taught.logits.roll(1, 0)), source])
        labels = trusted_labels(self.views(weak, taught.logits), self._settings.trusted)
        return self._refiner.loss(taught.features.repeat(2, 1, 1, 1), given, labels.repeat(2, 1, 1))

    def views(self, weak: Tensor, logits: Tensor) -> list[Tensor]:
        """The teacher's logits of crops, of their mirror images and of smaller copies, on the cells of the first."""
        network = self.teacher.network
        hw = (int(logits.shape[2]), int(logits.shape[3]))
        mirrored = self.teacher.output(weak.flip(2)).logits.flip(3)
        smaller_hw = scaled_hw((weak.shape[1], weak.shape[2]), self._settings.smaller, network.size_multiple)
        smaller = self.teacher.output(weak, smaller_hw).logits
        return [logits, mirrored, upsample(smaller, hw, align_corners=network.align_corners)]
