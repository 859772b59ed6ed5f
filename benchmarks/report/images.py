"""Pictures as data URIs: frames as photographs, label maps as palette pictures of a few kilobytes."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.labels import IGNORE_INDEX

__all__ = ["data_uri", "heat_uri", "labels_uri", "photograph_uri"]

MAX_WIDTH = 1024
"""Wider pictures are shrunk: no screen shows more in a column, and the file stays small."""
QUALITY = 82


def photograph_uri(image: NDArray[np.uint8], *, max_width: int = MAX_WIDTH) -> str:
    """A picture (H, W, 3) as WebP."""
    picture = Image.fromarray(image)
    picture = picture.resize(_fitting(picture.size, max_width), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=4)
    return data_uri("image/webp", file.getvalue())


def labels_uri(
    labels: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]], *, max_width: int = MAX_WIDTH
) -> str:
    """Ids (H, W) in the colours of a palette, as PNG; pixels of no class are transparent."""
    picture = Image.fromarray(labels).convert("P")
    # Every pixel keeps an id that was there: between two ids lies another class, not a mixture.
    picture = picture.resize(_fitting(picture.size, max_width), Image.Resampling.NEAREST)
    colours = [channel for colour in palette for channel in colour]
    picture.putpalette(colours + [0] * (768 - len(colours)))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True, transparency=IGNORE_INDEX)
    return data_uri("image/png", file.getvalue())


def heat_uri(values: NDArray[np.uint8], colours: NDArray[np.uint8], *, max_width: int = MAX_WIDTH) -> str:
    """Values 0..255 (H, W) in the colours (256, 3) of a map, as WebP."""
    return photograph_uri(colours[values], max_width=max_width)


def data_uri(media_type: str, content: bytes) -> str:
    """Bytes as a URI that leads nowhere else."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _fitting(size: tuple[int, int], max_width: int) -> tuple[int, int]:
    width, height = size
    return (width, height) if width <= max_width else (max_width, round(height * max_width / width))
