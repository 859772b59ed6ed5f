"""The usual way to ONNX: the network alone in the file, float images in, float scores out, the rest on the host."""

import contextlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.contenders import Frame
from benchmarks.peers.peer import Given
from runtime.bundle.manifest import InputConvention
from training.networks.network import upsample

__all__ = ["Host", "export_plainly"]

NAME = "plain.onnx"


class _Scores(nn.Module):
    """(1, 3, h, w) float32 -> scores (1, C, H, W) float32 of the frame's size, as the usual model classes return."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.network, self.frame_hw = given.graph.network, given.graph.frame_hw
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        logits = self.network.logits(image)
        return upsample(logits, self.frame_hw, align_corners=self.network.align_corners)


def export_plainly(given: Given) -> Path:
    """Export with the exporter's defaults; made once per run and shared by the peers that read ONNX."""
    path = given.folder / NAME
    if not path.exists():
        image = torch.zeros((1, 3, *given.graph.network_hw))
        # stdout belongs to the JSON line; the exporter prints.
        with contextlib.redirect_stdout(sys.stderr):
            torch.onnx.export(_Scores(given), (image,), path, input_names=["image"], output_names=["scores"])
    return path


class Host(NamedTuple):
    """What such a network leaves to the host, in numpy as people write it."""

    convention: InputConvention
    network_hw: tuple[int, int]

    @classmethod
    def of(cls, given: Given) -> "Host":
        """The host's part for a network."""
        return cls(given.spec.model.convention, given.graph.network_hw)

    def image(self, frame: Frame) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB -> (1, 3, h, w) float32, normalised; resized where the network sees another size."""
        image = frame.astype(np.float32)
        if self.convention.channel_order == "bgr":
            image = image[:, :, ::-1]
        mean, std = (np.array(values, dtype=np.float32) for values in (self.convention.mean, self.convention.std))
        image = ((image - mean) / std).transpose(2, 0, 1)[np.newaxis]
        if image.shape[2:] != self.network_hw:
            # Linear without antialiasing, as OpenCV's default and as the deploy graph.
            resized = F.interpolate(torch.from_numpy(np.ascontiguousarray(image)), self.network_hw, mode="bilinear")
            return np.asarray(resized.numpy())
        return np.ascontiguousarray(image)

    def labels(self, scores: NDArray[Any]) -> Frame:
        """(1, C, H, W) scores -> (H, W) uint8."""
        return np.asarray(scores[0].argmax(axis=0), dtype=np.uint8)
