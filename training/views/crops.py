"""Crops of one frame: the same geometry for image and labels, several looks of one place.

Randomness is a passed generator, so that a view is a pure function of (seed, step, place in the batch).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.labels import IGNORE_INDEX

__all__ = ["Crop", "class_rich_crop", "crop_image", "crop_labels", "crop_map", "draw_crop", "proportional_crop"]

CROP_TRIES = 10


@dataclass(frozen=True, slots=True)
class Crop:
    """A box (`top`, `left`, `crop_hw`) in a frame resized to `scaled_hw`, mirrored or not."""

    scaled_hw: tuple[int, int]
    top: int
    left: int
    crop_hw: tuple[int, int]
    is_mirrored: bool

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in the resized frame, Pillow's order."""
        return self.left, self.top, self.left + self.crop_hw[1], self.top + self.crop_hw[0]


def draw_crop(
    rng: np.random.Generator,
    *,
    train_hw: tuple[int, int],
    scale: tuple[float, float],
    crop_hw: tuple[int, int],
    mirror: float,
) -> Crop:
    """A random crop of `crop_hw` from the frame resized to `train_hw` times a uniform factor."""
    factor = rng.uniform(*scale)
    scaled_hw = (max(round(train_hw[0] * factor), crop_hw[0]), max(round(train_hw[1] * factor), crop_hw[1]))
    top = int(rng.integers(scaled_hw[0] - crop_hw[0] + 1))
    left = int(rng.integers(scaled_hw[1] - crop_hw[1] + 1))
    return Crop(scaled_hw, top, left, crop_hw, bool(rng.random() < mirror))


def class_rich_crop(
    rng: np.random.Generator, labels: NDArray[np.uint8], crop: Crop, *, min_classes: int
) -> tuple[Crop, NDArray[np.uint8]]:
    """Redraw the place of `crop` until its labels hold `min_classes` classes, at most ten times (authors' code).

    Returns:
        The crop and its labels, (H, W); the tenth draw where none was rich enough.
    """
    cut = crop_labels(labels, crop)
    for _ in range(CROP_TRIES):
        if np.count_nonzero(np.bincount(cut.ravel(), minlength=256)[:IGNORE_INDEX]) >= min_classes:
            break
        top = int(rng.integers(crop.scaled_hw[0] - crop.crop_hw[0] + 1))
        left = int(rng.integers(crop.scaled_hw[1] - crop.crop_hw[1] + 1))
        crop = Crop(crop.scaled_hw, top, left, crop.crop_hw, crop.is_mirrored)
        cut = crop_labels(labels, crop)
    return crop, cut


def proportional_crop(crop: Crop, scaled_hw: tuple[int, int]) -> Crop:
    """The box that lies in a frame of another size about where `crop` lies in its own.

    The two cover roughly the same place; that is enough for the memory view, from which only the mean features
    of each class are taken.
    """
    places = []
    for start, own, other, side in zip((crop.top, crop.left), crop.scaled_hw, scaled_hw, crop.crop_hw, strict=True):
        room = own - side
        places.append(start * (other - side) // room if room else (other - side) // 2)
    return Crop(scaled_hw, places[0], places[1], crop.crop_hw, crop.is_mirrored)


def crop_image(image: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop of an (H, W, 3) image, resized bicubically."""
    return _cut(image, crop, Image.Resampling.BICUBIC)


def crop_labels(labels: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop of an (H, W) label map, resized by nearest neighbour."""
    return _cut(labels, crop, Image.Resampling.NEAREST)


def crop_map(values: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop of an (h, w) map of the whole frame, of any size, resized bilinearly."""
    return _cut(values, crop, Image.Resampling.BILINEAR)


def _cut(array: NDArray[np.uint8], crop: Crop, method: Image.Resampling) -> NDArray[np.uint8]:
    """Resize the part of an array that lies in the crop's box, and only that."""
    left, top, right, bottom = crop.box
    if array.shape[:2] == crop.scaled_hw:
        cut = array[top:bottom, left:right]
    else:
        down, across = (own / scaled for own, scaled in zip(array.shape[:2], crop.scaled_hw, strict=True))
        box = (left * across, top * down, right * across, bottom * down)
        size = (crop.crop_hw[1], crop.crop_hw[0])
        cut = np.asarray(Image.fromarray(array).resize(size, method, box=box))
    return np.ascontiguousarray(cut[:, ::-1] if crop.is_mirrored else cut)
