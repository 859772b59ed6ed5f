"""Label maps as pictures: class colours over the frame, and a legend below it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from runtime.labels import ClassInfo

__all__ = ["blend", "colour_labels", "draw_legend", "overlay", "palette_of"]

BACKGROUND = (24, 24, 24)
TEXT = (235, 235, 235)


def overlay(
    frame: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Sequence[ClassInfo], opacity: float
) -> NDArray[np.uint8]:
    """The frame under its class colours, with a legend of the classes that occur.

    Args:
        frame: (H, W, 3) RGB.
        labels: (H, W) train ids.
        classes: the manifest's; the position is the train id.
        opacity: share of the colour, 0 to 1.

    Returns:
        (H + legend, W, 3) RGB; the legend's height depends on the classes and the width alone.
    """
    coloured = blend(frame, colour_labels(labels, classes), opacity)
    occurring = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(classes)))
    return np.concatenate([coloured, draw_legend(classes, occurring.tolist(), frame.shape[1])])


def colour_labels(labels: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> NDArray[np.uint8]:
    """Colour of each pixel's class, (H, W, 3) RGB; black where a label is no class."""
    return palette_of(classes)[labels]


def palette_of(classes: Sequence[ClassInfo]) -> NDArray[np.uint8]:
    """Colour of each train id, (256, 3) RGB; black where it is no class."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(classes)] = [entry.colour for entry in classes]
    return palette


def blend(frame: NDArray[np.uint8], colours: NDArray[np.uint8], opacity: float) -> NDArray[np.uint8]:
    """Mix two pictures of one shape: `opacity` of the colours, the rest of the frame, rounded to nearest."""
    mixed = frame + np.float32(opacity) * (colours.astype(np.float32) - frame)
    return np.rint(mixed).astype(np.uint8)


def draw_legend(classes: Sequence[ClassInfo], occurring: Sequence[int], width: int) -> NDArray[np.uint8]:
    """A strip with the colour and name of each class that occurs.

    Every class has a fixed place, so that legends of consecutive frames can be compared.

    Args:
        classes: the manifest's; the position is the train id.
        occurring: train ids to draw.
        width: of the strip, in pixels.

    Returns:
        (height, width, 3) RGB.
    """
    # Text that stays readable when a wide picture is scaled down to a page.
    size = max(11, width // 80)
    font = ImageFont.load_default(size=size)
    line = size * 3 // 2
    cell = line + max(int(font.getlength(entry.name)) for entry in classes) + line // 2
    num_columns = max(1, width // cell)
    num_rows = -(-len(classes) // num_columns)
    strip = Image.new("RGB", (width, num_rows * line + line // 2), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for train_id in occurring:
        row, column = divmod(train_id, num_columns)
        left, top = column * cell + line // 4, row * line + line // 4
        draw.rectangle((left, top, left + size, top + size), fill=classes[train_id].colour, outline=TEXT)
        draw.text((left + line, top), classes[train_id].name, fill=TEXT, font=font)
    return np.asarray(strip)
