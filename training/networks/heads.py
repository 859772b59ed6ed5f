"""Classifiers of DeepLabV2: dilated convolutions that are summed, or concatenated and classified."""

import torch
from torch import Tensor, nn

from training.networks.tap_sum import tap_sum

__all__ = ["ASPP_DILATIONS", "Module2Head", "SumHead"]

ASPP_DILATIONS = (6, 12, 18, 24)
WIDTH = 256
GROUPS = 32
REDUCTION = 16


class SumHead(nn.ModuleList):
    """(N, D, h, w) -> logits (N, C, h, w): the sum of dilated 3x3 convolutions (Chen et al., arXiv 1606.00915)."""

    by_taps = False
    """Compute it as `tap_sum` does."""

    def __init__(self, in_channels: int, num_classes: int, *, branches: int) -> None:
        super().__init__(_dilated_classifier(in_channels, num_classes, d) for d in ASPP_DILATIONS[:branches])

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the trunk's last features."""
        if self.by_taps:
            return tap_sum(features, [branch for branch in self if isinstance(branch, nn.Conv2d)])
        first, *others = (branch(features) for branch in self)
        logits: Tensor = sum(others, start=first)
        return logits


class Module2Head(nn.Module):
    """(N, D, h, w) -> logits (N, C, h, w), in the form of ProDA (Zhang et al., arXiv 2101.10979, and its code).

    Five branches of 256 channels with group norm, the first 1x1, the others dilated; concatenated, weighted by a
    squeeze-and-excitation gate, brought to 256 channels by a 3x3 convolution, then classified by a 1x1 without bias.
    """

    def __init__(self, in_channels: int, num_classes: int, *, has_norm: bool) -> None:
        """Build the head.

        Args:
            in_channels: channels of the trunk's last stage.
            num_classes: channels of the logits.
            has_norm: normalise the trunk's features by batch first, as networks distilled onto SimCLR weights do.
        """
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels) if has_norm else nn.Identity()
        self.branches = nn.ModuleList([_unit(in_channels, 1), *(_unit(in_channels, 3, d) for d in ASPP_DILATIONS)])
        channels = WIDTH * len(self.branches)
        self.bottleneck = nn.Sequential(
            Gate(channels), nn.Conv2d(channels, WIDTH, kernel_size=3, padding=1), nn.GroupNorm(GROUPS, WIDTH)
        )
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(WIDTH, num_classes, kernel_size=1, bias=False))
        nn.init.normal_(self.head[1].get_parameter("weight"), std=0.001)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the trunk's last features."""
        features = self.norm(features)
        logits: Tensor = self.head(self.bottleneck(torch.cat([branch(features) for branch in self.branches], dim=1)))
        return logits


class Gate(nn.Module):
    """Squeeze and excitation (Hu et al., arXiv 1709.01507): channels weighted by what their means tell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.se = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, h, w) -> the same, each channel times a weight in 0..1."""
        weights: Tensor = self.se(features.mean(dim=(2, 3)))
        return features * weights[:, :, None, None]


def _dilated_classifier(in_channels: int, num_classes: int, dilation: int) -> nn.Conv2d:
    classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=dilation, dilation=dilation)
    nn.init.normal_(classifier.weight, std=0.01)
    assert classifier.bias is not None
    nn.init.zeros_(classifier.bias)
    return classifier


def _unit(in_channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation if kernel > 1 else 0
    convolution = nn.Conv2d(in_channels, WIDTH, kernel_size=kernel, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, WIDTH), nn.ReLU(inplace=True))
