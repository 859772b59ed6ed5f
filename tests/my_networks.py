"""A module as a user would write it, for tests that name it in a run file. It knows nothing of this project."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOT_A_FUNCTION = 3


class Small(nn.Module):
    """Stride 4, group norm, dropout, a dict for output; computes `view`s that refuse channels-last memory."""

    def __init__(self, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout2d(0.2)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.encoder(image)
        tokens = features.view(features.shape[0], features.shape[1], -1)
        mixed = (tokens - tokens.mean(dim=2, keepdim=True)).view_as(features)
        return {"out": self.classifier(self.dropout(mixed)), "tokens": tokens}


class FixedSize(nn.Module):
    """Like a transformer with learnt positions: takes inputs of one size."""

    def __init__(self, num_classes: int, height: int, width: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, 8, height // 8, width // 8))
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.patches(image) + self.positions)
        return logits


class Strided(nn.Module):
    """Down and up again with a skip connection: only multiples of 16 fit together."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(3, 8, 1)
        self.down = nn.Conv2d(3, 8, 16, stride=16)
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        up = F.interpolate(self.down(image), scale_factor=16.0)
        logits: Tensor = self.classifier(self.skip(image) + up)
        return logits


class AlwaysDropping(Small):
    """Forgets that dropout ends with training."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.encoder(image)
        return {"out": self.classifier(F.dropout(features, 0.5))}


def small(num_classes: int, width: int = 16) -> nn.Module:
    return Small(num_classes, width)


def frozen_encoder(num_classes: int) -> nn.Module:
    network = Small(num_classes)
    network.encoder.requires_grad_(False)
    return network


def frozen(num_classes: int) -> nn.Module:
    return Small(num_classes).requires_grad_(False)


def endless(num_classes: int) -> nn.Module:
    network = Small(num_classes)
    nn.init.constant_(network.classifier.weight, torch.inf)
    return network


def returns_a_number(num_classes: int) -> Any:
    return num_classes


def fails(num_classes: int) -> nn.Module:
    raise KeyError(f"no weights for {num_classes} classes")
