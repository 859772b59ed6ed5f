"""The student of every method: what of it learns, how it is normalised, and its predictions at the crop's size."""

import torch
from torch import Tensor

from training.losses.terms import divergence
from training.methods.method import Setting
from training.networks.network import NetworkOutput, SegmentationNetwork, upsample
from training.quantization.fake_quantization import is_fake_quantized
from training.statistics.batch_norm import freeze_affine
from training.statistics.global_batch_norm import by_global_batch

__all__ = ["Student", "sums_by_taps"]


class Student:
    """Runs the network that is trained.

    Args:
        setting: its network is put in training mode.
        is_affine_frozen: whether batch-norm scales and offsets do not learn, as in the authors' code.
    """

    def __init__(self, setting: Setting, *, is_affine_frozen: bool = True) -> None:
        self._judge = setting.frozen_judge() if setting.likeness > 0 else None
        self._likeness = setting.likeness
        # What its author keeps from learning stays so.
        self.network: SegmentationNetwork = setting.network.train(not setting.has_fixed_statistics)
        if is_affine_frozen:
            freeze_affine(self.network)
        self.network.sum_by_taps(sums_by_taps(setting))
        self._compute, self._frame_input = setting.compute, setting.frame_input
        self._forward = setting.compute.world.parallel(by_global_batch(self.network, setting.compute))

    def __call__(self, images: Tensor) -> NetworkOutput:
        """Logits and features of crops (N, H, W, 3) uint8."""
        with self._compute.autocast():
            output: NetworkOutput = self._forward(self._frame_input(images))
        return output

    def log_probs(self, output: NetworkOutput, hw: tuple[int, int]) -> Tensor:
        """Log-probabilities (N, C, *hw), float32."""
        return upsample(output.logits, hw, align_corners=self.network.align_corners).log_softmax(dim=1)

    def likeness(self, images: Tensor, output: NetworkOutput) -> dict[str, Tensor]:
        """The term `likeness` of what the student made of the crops; nothing where none is asked for."""
        if self._judge is None:
            return {}
        with torch.no_grad(), self._compute.autocast():
            judged = self._judge.logits(self._frame_input(images))
        return {"likeness": self._likeness * divergence(output.logits, judged)}

    @torch.no_grad()
    def show(self, images: Tensor | None) -> None:
        """Let crops, where there are any, move the running statistics."""
        if images is not None:
            with self._compute.autocast():
                self.network(self._frame_input(images))


def sums_by_taps(setting: Setting) -> bool:
    """Whether classifiers are computed in the form that trains faster on a CPU.

    Sums by taps pass the classifiers by, and with them the rounding of what they read.
    """
    return setting.compute.device.type == "cpu" and not is_fake_quantized(setting.network)
