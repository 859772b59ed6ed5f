"""Where the pixels of one direction lie between the logits, in the arithmetic of PyTorch's bilinear upsampling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "Axis", "upsampling_axis"]

# tail.c has the same number: its inner loops run over whole blocks, which is what makes them fast.
BLOCK = 16


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of the frame, cut into S segments of at most `BLOCK` pixels that lie between the same two logits.

    Attributes:
        low: (S,) int32, index of the logit before the segment's pixels.
        high: (S,) int32, index of the logit after them; `low` again where it has no weight.
        start: (S,) int32, first pixel.
        length: (S,) int32, number of pixels.
        far: (S, BLOCK) float32, weight of `high` in each pixel, that of `low` being 1 - far; 0 after the last pixel.
    """

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    start: NDArray[np.int32]
    length: NDArray[np.int32]
    far: NDArray[np.float32]

    def per_pixel(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Segment of each pixel, and its position within the segment."""
        segment = np.repeat(np.arange(len(self.length)), self.length)
        return segment, np.arange(len(segment)) - self.start[segment]


def upsampling_axis(num_logits: int, num_pixels: int, *, align_corners: bool) -> Axis:
    """Indices and weights with which `torch.nn.functional.interpolate` upsamples one direction.

    Args:
        num_logits: logits in this direction.
        num_pixels: pixels of the frame in this direction.
        align_corners: the outermost logits lie on the centres of the outermost pixels, not of their own cells.
    """
    position = _positions(num_logits, num_pixels, align_corners=align_corners)
    low = np.minimum(position.astype(np.int32), num_logits - 1)
    high = np.minimum(low + 1, num_logits - 1)
    far = np.clip(position - low.astype(np.float32), 0, 1)
    # Pixels before the first logit have its value; apart from those between it and the second, nothing mixes in them.
    run = np.flatnonzero(np.diff(low, prepend=-1) | np.diff(position > 0, prepend=False))
    start = np.concatenate(
        [np.arange(first, last, BLOCK) for first, last in zip(run, np.append(run[1:], num_pixels), strict=True)]
    ).astype(np.int32)
    length = np.diff(start, append=num_pixels).astype(np.int32)
    within = np.arange(BLOCK)
    blocks = np.where(within < length[:, None], far[np.minimum(start[:, None] + within, num_pixels - 1)], 0)
    has_weight = blocks.any(axis=1)
    return Axis(
        low=np.ascontiguousarray(low[start]),
        high=np.where(has_weight, high[start], low[start]).astype(np.int32),
        start=start,
        length=length,
        far=np.ascontiguousarray(blocks, dtype=np.float32),
    )


def _positions(num_logits: int, num_pixels: int, *, align_corners: bool) -> NDArray[np.float32]:
    """Position of each pixel on the axis of the logits, rounded to float32 where PyTorch rounds."""
    pixels = np.arange(num_pixels, dtype=np.float32)
    if align_corners:
        scale = np.float32(num_logits - 1) / np.float32(num_pixels - 1) if num_pixels > 1 else np.float32(0)
        return pixels * scale
    scale = np.float32(num_logits) / np.float32(num_pixels)
    centres: NDArray[np.float32] = scale * (pixels + np.float32(0.5)) - np.float32(0.5)
    return np.maximum(centres, np.float32(0))
