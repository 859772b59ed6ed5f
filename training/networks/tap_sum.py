"""A sum of dilated 3x3 convolutions as one matrix product and shifted additions: the same numbers, much faster.

On a CPU, a dilated convolution to some twenty channels leaves most of the machine idle, and its gradient at dilations
near the size of the map more so. All taps of all branches together are a 1x1 convolution to hundreds of channels,
which does not; what is left is to add each tap's map, shifted by its offset.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["tap_sum"]

Offset = tuple[int, int]


def tap_sum(features: Tensor, branches: Sequence[nn.Conv2d]) -> Tensor:
    """The sum of convolutions, each with stride 1 and padded so that it keeps the size of the map.

    Args:
        features: (N, D, h, w).
        branches: C output channels each.

    Returns:
        (N, C, h, w); each tap is rounded to the precision of the convolution, their sum to float32.
    """
    weights = [branch.weight.permute(2, 3, 0, 1).flatten(0, 2) for branch in branches]
    taps = F.conv2d(features, torch.cat(weights)[:, :, None, None])
    total: Tensor = _ShiftedSum.apply(taps, [offset for branch in branches for offset in _offsets(branch)])
    biases = torch.stack([branch.bias for branch in branches if branch.bias is not None])
    return total + biases.sum(dim=0).view(1, -1, 1, 1)


def _offsets(branch: nn.Conv2d) -> Iterator[Offset]:
    """Rows and columns from an output cell to the input cell of each tap, in the order of the weights."""
    for row in range(branch.kernel_size[0]):
        for column in range(branch.kernel_size[1]):
            yield (
                row * branch.dilation[0] - int(branch.padding[0]),
                column * branch.dilation[1] - int(branch.padding[1]),
            )


class _ShiftedSum(torch.autograd.Function):
    """(N, T * C, h, w) maps of T taps -> (N, C, h, w), each added where its offset says, and not beyond the map."""

    @staticmethod
    def forward(ctx: Any, taps: Tensor, offsets: Sequence[Offset]) -> Tensor:
        ctx.offsets, ctx.dtype = offsets, taps.dtype
        images, channels, height, width = taps.shape
        num_classes = channels // len(offsets)
        total = taps.new_zeros((images, height, width, num_classes), dtype=torch.float32).permute(0, 3, 1, 2)
        for tap, offset in enumerate(offsets):
            into, out_of = _overlap(offset, height, width)
            total[(..., *into)] += taps[:, tap * num_classes : (tap + 1) * num_classes][(..., *out_of)]
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].to(ctx.dtype)
        images, num_classes, height, width = gradient.shape
        taps = gradient.new_zeros((images, height, width, num_classes * len(ctx.offsets))).permute(0, 3, 1, 2)
        for tap, offset in enumerate(ctx.offsets):
            into, out_of = _overlap(offset, height, width)
            taps[:, tap * num_classes : (tap + 1) * num_classes][(..., *out_of)] = gradient[(..., *into)]
        return taps, None


def _overlap(offset: Offset, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the output that a tap reaches, and those of its map that they take; may be empty."""
    into, out_of = [], []
    for shift, size in zip(offset, (height, width), strict=True):
        first, last = max(0, -shift), max(0, min(size, size - shift))
        into.append(slice(first, max(first, last)))
        out_of.append(slice(first + shift, max(first, last) + shift))
    return (into[0], into[1]), (out_of[0], out_of[1])
