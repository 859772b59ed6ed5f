"""The refinement network of PRN (Pseudo-label Refinement Network, arXiv 2310.16979): labels corrected, noise found.

The paper names its inputs and outputs; layers and widths are ours.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Refined", "RefinementNetwork"]

WIDTH = 128
PROBS_WIDTH = 64
DILATION = 6


class Refined(NamedTuple):
    """Corrected `logits` (N, C, h, w), and `noise` (N, h, w), logits of the given prediction being wrong there."""

    logits: Tensor
    noise: Tensor


class RefinementNetwork(nn.Module):
    """Features (N, D, h', w') and logits (N, C, h, w) -> `Refined`.

    Features and probabilities are brought to 128 and 64 channels, joined, and passed through three 3x3 convolutions
    of 128 channels, the second dilated by 6. What comes out is added to the logits. It starts as 0, so that an
    untrained network changes no label.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        """Build it for features of D channels and C classes."""
        super().__init__()
        self.features = nn.Conv2d(num_features, WIDTH, kernel_size=1)
        self.probs = nn.Conv2d(num_classes, PROBS_WIDTH, kernel_size=1)
        self.body = nn.Sequential(_block(WIDTH + PROBS_WIDTH, 1), _block(WIDTH, DILATION), _block(WIDTH, 1))
        self.correction = nn.Conv2d(WIDTH, num_classes, kernel_size=1)
        self.noise = nn.Conv2d(WIDTH, 1, kernel_size=1)
        for head in (self.correction, self.noise):
            nn.init.zeros_(head.get_parameter("weight"))
            nn.init.zeros_(head.get_parameter("bias"))

    def forward(self, features: Tensor, logits: Tensor) -> Refined:
        """At the logits' size."""
        hw = (int(logits.shape[2]), int(logits.shape[3]))
        seen = self.features(features)
        if tuple(seen.shape[2:]) != hw:
            seen = F.interpolate(seen, size=hw, mode="bilinear")
        body = self.body(torch.cat([seen, self.probs(logits.softmax(dim=1))], dim=1))
        return Refined(logits + self.correction(body), self.noise(body)[:, 0])


def _block(in_channels: int, dilation: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, WIDTH, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True))
