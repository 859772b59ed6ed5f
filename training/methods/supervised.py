"""Supervised training of the source network on labelled source frames."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from runtime.labels import IGNORE_INDEX
from training.device import Compute
from training.frame_network import FrameInput
from training.networks.network import SegmentationNetwork, upsample
from training.statistics.global_batch_norm import by_global_batch
from training.views.batch import SourceBatch

__all__ = ["Supervised"]


class Supervised:
    """Cross-entropy to the labels, mean over the labelled pixels."""

    def __init__(self, student: SegmentationNetwork, frame_input: FrameInput, compute: Compute) -> None:
        """Put the student in training mode."""
        self.student = student.train()
        self.student.sum_by_taps(compute.device.type == "cpu")
        self.forward_student = compute.world.parallel(by_global_batch(self.student, compute))
        self.heads = nn.Module()
        self.frame_input = frame_input
        self.compute = compute

    def losses(self, batch: SourceBatch) -> dict[str, Tensor]:
        """One term, `cross_entropy`; 0 for a batch without a labelled pixel."""
        with self.compute.autocast():
            logits = self.forward_student(self.frame_input(batch.images)).logits
        hw = (int(batch.labels.shape[1]), int(batch.labels.shape[2]))
        logits = upsample(logits, hw, align_corners=self.student.align_corners)
        total = F.cross_entropy(logits, batch.labels, ignore_index=IGNORE_INDEX, reduction="sum")
        # Shares of a batch have unequally many labelled pixels; the mean over them is not the mean of their means.
        labelled = self.compute.world.sum((batch.labels != IGNORE_INDEX).sum()).clamp(min=1)
        return {"cross_entropy": total * self.compute.world.size / labelled}

    def after_step(self) -> None:
        """Nothing follows the student."""

    def state(self) -> dict[str, Tensor]:
        """No state besides the student."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """No state besides the student."""
