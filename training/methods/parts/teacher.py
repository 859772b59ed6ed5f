"""A teacher: a slow moving average of the student, which labels the frames that the student learns from."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from training.methods.method import Setting
from training.methods.parts.ema import ema_update
from training.methods.parts.student import sums_by_taps
from training.networks.network import NetworkOutput, SegmentationNetwork, upsample
from training.statistics.global_batch_norm import by_global_batch

__all__ = ["Taught", "Teacher"]


class Taught(NamedTuple):
    """What a teacher says of crops: `labels` (N, H, W) int64 and the probability it gives them, `confidence`."""

    labels: Tensor
    confidence: Tensor


class Teacher:
    """Starts as the network the student starts from; in evaluation mode, with the student's running statistics.

    Args:
        setting: its network, before it becomes the student.
        momentum: of the average; as in DAFormer and its ancestors it grows to this from 0 within the first steps, so
            that the teacher leaves the source network early: min(1 - 1 / (step + 1), momentum).
        is_ramped: whether it does.
    """

    def __init__(self, setting: Setting, momentum: float, *, is_ramped: bool = True) -> None:
        self.network = setting.frozen_network()
        self.network.sum_by_taps(sums_by_taps(setting))
        by_global_batch(self.network, setting.compute)
        self._compute, self._frame_input = setting.compute, setting.frame_input
        self._momentum, self._is_ramped = momentum, is_ramped
        self._num_steps = 0

    @torch.no_grad()
    def probs(self, images: Tensor, hw: tuple[int, int]) -> Tensor:
        """Probabilities (N, C, *hw) of crops (N, H, W, 3) uint8."""
        with self._compute.autocast():
            logits = self.network.logits(self._frame_input(images))
        return upsample(logits, hw, align_corners=self.network.align_corners).softmax(dim=1)

    @torch.no_grad()
    def output(self, images: Tensor, hw: tuple[int, int] | None = None) -> NetworkOutput:
        """Logits and features, float32, of crops (N, H, W, 3) uint8, resized to `hw` where it is given."""
        with self._compute.autocast():
            output: NetworkOutput = self.network(self._frame_input(images, hw))
        return NetworkOutput(output.logits.float(), output.features.float())

    def teach(self, images: Tensor, hw: tuple[int, int]) -> Taught:
        """Labels of crops (N, H, W, 3) uint8, at size `hw`."""
        confidence, labels = self.probs(images, hw).max(dim=1)
        return Taught(labels, confidence)

    @property
    def num_steps(self) -> int:
        """How often it moved, over all the parts of a run that was resumed."""
        return self._num_steps

    @torch.no_grad()
    def follow(self, student: SegmentationNetwork) -> None:
        """Move towards the student, after its step."""
        self._num_steps += 1
        ramped = 1 - 1 / (self._num_steps + 1)
        ema_update(self.network, student, momentum=min(ramped, self._momentum) if self._is_ramped else self._momentum)

    def state(self) -> dict[str, Tensor]:
        """Its weights and how often it moved."""
        weights = {f"teacher/{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {**weights, "teacher_steps": torch.tensor(self._num_steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        prefix = "teacher/"
        weights = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        self.network.load_state_dict(weights)
        self._num_steps = int(state["teacher_steps"])
