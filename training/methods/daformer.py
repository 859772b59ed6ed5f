"""DAFormer (Hoyer, Dai, Van Gool, CVPR 2022): self-training with labelled source crops, after the authors' code.

The student learns source labels, and a teacher's labels on target crops onto which half the classes of a source crop
are pasted with their colours changed. As in the authors' code the teacher is normalised by its batch: the student's
running statistics are of both domains. Left out are the feature distance to an ImageNet network, which means nothing
to networks trained from random weights, and the rows at the top and bottom of Cityscapes frames that count for
nothing. Target pixels have the trainer's colour changes, pasted ones the paper's; the blur is of both, with the
paper's widths in pixels. Learning rates and class weights are those of the comparison. The term `masked`, off unless
it is given a weight, makes this MIC (CVPR 2023).
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from training.methods.method import Needs, Setting
from training.methods.parts.source_loss import source_loss
from training.methods.self_training import Mixed, SelfTraining, TeacherTermConfig
from training.statistics.batch_norm import use_batch_statistics
from training.statistics.global_batch_norm import by_global_batch
from training.views.batch import SourceBatch, TargetBatch
from training.views.crop_colours import blur, jitter
from training.views.mixing import class_mix

__all__ = ["Daformer", "DaformerConfig", "SourceTermConfig"]


class SourceTermConfig(TeacherTermConfig):
    """A teacher's labels and those of source crops; the defaults are the authors'."""

    source: NonNegativeFloat = 1.0
    """Weight of the source's labels."""
    masked: NonNegativeFloat = 0.0
    rare_temperature: PositiveFloat | None = 0.01
    """Of the choice of source frames by rare classes; null takes all frames equally often."""

    @property
    def needs(self) -> Needs:
        """Unchanged crops for the teacher, and labelled source crops."""
        return Needs(weak=True, source=True, rare_temperature=self.rare_temperature)


class DaformerConfig(SourceTermConfig):
    """DAFormer's self-training."""

    name: Literal["daformer"]


class Daformer(SelfTraining):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: SourceTermConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self.source_weight = config.source
        if not setting.has_fixed_statistics:
            use_batch_statistics(self.teacher.network)
            by_global_batch(self.teacher.network, setting.compute)

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted term `source` and those of self-training."""
        source = source_of(batch)
        hw = (int(source.labels.shape[1]), int(source.labels.shape[2]))
        log_probs = self._student.log_probs(self._student(source.images), hw)
        return {"source": self.source_weight * source_loss(log_probs, source.labels), **super().losses(batch)}

    def mix(self, batch: TargetBatch, labels: Tensor, weights: Tensor) -> Mixed:
        """Half of the classes of each source crop, pasted onto a target crop, where they count in full.

        Args:
            batch: one step's.
            labels: (N, H, W) of its target crops.
            weights: (N, H, W), how much each pixel of them counts.
        """
        source = source_of(batch)
        pasted = class_mix(source.labels)
        return Mixed(
            blur(torch.where(pasted[..., None], jitter(source.images), batch.student)),
            torch.where(pasted, source.labels, labels),
            torch.where(pasted, 1.0, weights),
            pasted,
        )


def source_of(batch: TargetBatch) -> SourceBatch:
    """The source crops, which a batch of a method that needs them has."""
    assert batch.source is not None
    return batch.source
