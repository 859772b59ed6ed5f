"""PRN (Pseudo-label Refinement Network, arXiv 2310.16979), on DAFormer's self-training with labelled source crops.

A small network beside the student corrects the teacher's labels and says where they are wrong; pixels it holds to be
noise are left out. It learns that from source crops, whose labels are known, and from target crops where the teacher is
sure of itself, in both of which the teacher's logits are perturbed: the amplitudes of their low frequencies are those
of a target crop's logits. By its labels and the source's the student's features are contrasted.

The paper says what is perturbed, how much of the spectrum, and what is learnt; its summaries disagree whether the
amplitudes are those of a target's logits or of its image. Layers, which cells are sure, the weights of noisy cells and
of terms, and the form of the contrast are a reconstruction. Contrasted are pixels of mixed crops, which show both
domains. Of DAFormer's weight, the share of sure pixels, nothing is left once labels are corrected.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from training.losses.refinement import trusted_labels
from training.losses.terms import nearest_labels
from training.methods.daformer import Daformer, SourceTermConfig, source_of
from training.methods.method import Setting
from training.methods.parts.refiner import Refiner, RefinerConfig
from training.methods.self_training import Mixed, labels_and_weights
from training.networks.network import NetworkOutput
from training.views.batch import SourceBatch, TargetBatch

__all__ = ["Prn", "PrnConfig", "shared_out"]


class PrnConfig(RefinerConfig, SourceTermConfig):
    """PRN."""

    name: Literal["prn"]
    target_refinement: NonNegativeFloat = 1.0
    """Weight of what the refinement network learns on target crops, beside source crops."""


class Prn(Daformer):
    """DAFormer's self-training on corrected labels; see the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: PrnConfig, setting: Setting) -> None:
        self._refiner = Refiner(config, setting)
        super().__init__(config, setting)
        self.heads = self._refiner.heads
        self._settings = config
        self._taught: NetworkOutput | None = None

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The terms of DAFormer, `contrast` and `refinement`."""
        terms = super().losses(batch)
        assert self._taught is not None
        return {**terms, "refinement": self._refinement(source_of(batch), self._taught)}

    def teach(self, weak: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Corrected labels, and 0 for pixels held to be noise; DAFormer's until the correction has been learnt."""
        self._taught = self.teacher.output(weak)
        align_corners = self.student.align_corners
        if not self._refiner.is_used(self.teacher):
            return labels_and_weights(self._taught, hw, self._settings.threshold, align_corners=align_corners)
        labels, noise = self._refiner.refine(self._taught, hw, align_corners=align_corners)
        return labels, (noise <= 0.5).float()

    def mixed_terms(self, output: NetworkOutput, mixed: Mixed, class_weights: Tensor) -> dict[str, Tensor]:
        """`mixed`, a mean over the pixels that are kept, and `contrast` between pixels of mixed crops."""
        contrast = self._refiner.contrast(output.features, mixed.labels, mixed.weights)
        if self._refiner.is_used(self.teacher):
            mixed = mixed._replace(weights=shared_out(mixed.weights))
        return {**super().mixed_terms(output, mixed, class_weights), "contrast": contrast}

    def _refinement(self, source: SourceBatch, target: NetworkOutput) -> Tensor:
        """What the network learns from perturbed logits of source crops, and of target crops where they are sure."""
        output = self.teacher.output(source.images)
        donors = target.logits[torch.randint(len(target.logits), (len(output.logits),))]
        hw = (int(output.logits.shape[2]), int(output.logits.shape[3]))
        given = self._refiner.perturbed(output.logits, donors)
        on_source = self._refiner.loss(output.features, given, nearest_labels(source.labels, hw))
        given = self._refiner.perturbed(target.logits, target.logits.roll(1, 0))
        labels = trusted_labels([target.logits], self._settings.trusted)
        return on_source + self._settings.target_refinement * self._refiner.loss(target.features, given, labels)


def shared_out(weights: Tensor) -> Tensor:
    """Weights (N, H, W) in [0, 1] made to sum to the number of pixels, or to that times their sum where it is below 1.

    The mean over all pixels is then that over those that count.
    """
    return weights * weights.numel() / weights.sum().clamp(min=1)
