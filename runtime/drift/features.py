"""A frame and its output in a few numbers: how the picture looks, what is in it, how sure the network is.

Export and vehicle call the same function, on the same graph's output: what differs between them is the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Feature", "describe", "features_of"]

# Pixels that are looked at, about: sixteen thousand give every feature but rare classes to within a percent.
NUM_PIXELS = 16_384
UNSURE = 128
DARK, BRIGHT = 4, 251
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a frame: its key in the manifest, what sentences call it, and what it is when it rises and falls.

    `is_root`: it is the square root of a share, whose spread then does not depend on how common it is.
    """

    key: str
    title: str
    higher: str
    lower: str
    digits: int = 2
    is_root: bool = False

    def told(self, value: float) -> str:
        """The number as people know it."""
        return f"{value**2:.1%}" if self.is_root else f"{value:.{self.digits}f}"


PICTURE = (
    Feature("luminance", "mean luminance", "brighter", "darker", 0),
    Feature("contrast", "deviation of luminance", "more contrast", "less contrast", 0),
    Feature("sharpness", "difference of neighbouring pixels", "sharper or noisier", "blurred", 1),
    Feature("saturation", "mean saturation", "more colourful", "less colourful", 3),
    Feature("red_blue", "red less blue", "redder", "bluer", 3),
    Feature("green", "green less red and blue", "greener", "more purple", 3),
    Feature("dark", "share of black pixels", "more black", "less black", is_root=True),
    Feature("bright", "share of white pixels", "more glare", "less white", is_root=True),
)
OUTPUT = (
    Feature("confidence", "mean confidence", "more confident", "less confident"),
    Feature("unsure", "share of unsure pixels", "more unsure", "less unsure", is_root=True),
)


def describe(classes: Sequence[str]) -> tuple[Feature, ...]:
    """What `features_of` gives for a network of these classes, in order."""
    shares = (
        Feature(f"class_{name}", f"share of {name}", f"more {name}", f"less {name}", is_root=True) for name in classes
    )
    return (*PICTURE, *OUTPUT, *shares)


def features_of(
    frame: NDArray[np.uint8], labels: NDArray[np.uint8], confidence: NDArray[np.uint8], num_classes: int
) -> NDArray[np.float32]:
    """The features of one frame, (D,), as `describe` lists them.

    Luminance, contrast and sharpness are in 0..255; saturation, colours, confidence and shares in 0..1, shares as
    their square roots.

    Args:
        frame: (H, W, 3) RGB.
        labels: (H, W) train ids.
        confidence: (H, W), 255 at certainty.
        num_classes: how many train ids there are.
    """
    height, width = labels.shape
    step = max(1, int((height * width / NUM_PIXELS) ** 0.5))
    pixels = frame[::step, ::step].reshape(-1, 3)
    sure = confidence[::step, ::step]
    counts = np.bincount(labels[::step, ::step].ravel(), minlength=num_classes)
    shares = [*_clipped(pixels), np.count_nonzero(sure < UNSURE) / sure.size, *(counts / sure.size)]
    dark, bright, unsure, *classes = np.sqrt(shares).tolist()
    picture = (*_light(pixels), _sharpness(frame, step), *_colour(pixels), dark, bright)
    return np.array([*picture, sure.mean() / 255, unsure, *classes], dtype=np.float32)


def _light(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    luminance = pixels @ LUMINANCE
    return float(luminance.mean()), float(luminance.std())


def _sharpness(frame: NDArray[np.uint8], step: int) -> float:
    """Of neighbours in the frame itself, whatever the step."""
    green = frame[::step, :, 1]
    left, right = green[:, :-1:step].astype(np.int16), green[:, 1::step]
    return float(np.abs(left - right).mean()) if right.size else 0.0


def _colour(pixels: NDArray[np.uint8]) -> tuple[float, float, float]:
    red, green, blue = (pixels.mean(axis=0) / 255).tolist()
    # By columns: NumPy reduces an axis of three one pixel at a time.
    columns = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    highest = np.maximum(np.maximum(*columns[:2]), columns[2])
    lowest = np.minimum(np.minimum(*columns[:2]), columns[2])
    return float((highest - lowest).mean()) / 255, red - blue, green - (red + blue) / 2


def _clipped(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Shares of pixels that are black and white, by their green, which is most of their light."""
    green = pixels[:, 1]
    return np.count_nonzero(green <= DARK) / green.size, np.count_nonzero(green >= BRIGHT) / green.size
