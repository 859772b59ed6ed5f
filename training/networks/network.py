"""What every stage may ask of a segmentation network, whoever wrote it."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["NetworkOutput", "SegmentationNetwork", "scaled_hw", "upsample"]


class NetworkOutput(NamedTuple):
    """What a segmentation network returns: `logits` (N, C, h, w) and intermediate `features` (N, D, h', w')."""

    logits: Tensor
    features: Tensor


class SegmentationNetwork(nn.Module):
    """(N, 3, H, W) normalised image -> `NetworkOutput`; the sizes of logits and features are the network's own."""

    align_corners: bool = False
    """Whether corner cells of the logits lie on corner pixels, as in networks whose maps have 8k + 1 cells."""
    head: str = ""
    """Dotted name of the classifier, which learns at a multiple of the rate; empty where none is named."""
    size_multiple: int = 1
    """Height and width of an input must be multiples of this."""
    channels_last: bool = True
    """Whether the network computes on channels-last memory, which convolutions like best and `view` refuses."""

    def forward(self, image: Tensor) -> NetworkOutput:
        """Logits and features of a batch of images."""
        raise NotImplementedError

    def sum_by_taps(self, is_wanted: bool) -> None:
        """Compute the same logits in the form that is faster to train on a CPU, where the network has one."""

    def logits(self, image: Tensor) -> Tensor:
        """Logits alone: what evaluation and the vehicle need."""
        output: NetworkOutput = self(image)
        return output.logits


def scaled_hw(network_hw: tuple[int, int], scale: float, multiple: int) -> tuple[int, int]:
    """A size times a scale, both sides rounded to a multiple that the network takes, and at least 8 pixels."""
    least = -(-8 // multiple)
    height, width = (multiple * max(least, round(side * scale / multiple)) for side in network_hw)
    return height, width


def upsample(logits: Tensor, hw: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Bilinear upsampling of (N, C, h, w) logits to (N, C, *hw), in float32; unchanged where they have that size.

    Aligning corners, as the reference code always does, fits the 8k + 1 maps of ceil-mode pooling. Torchvision's
    even maps would be stretched by it, differently at every crop size.
    """
    if tuple(logits.shape[2:]) == hw:
        return logits.float()
    return F.interpolate(logits.float(), size=hw, mode="bilinear", align_corners=align_corners)
