"""Photometric changes of a training view; the geometry, and so the labels, stay."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["POLICY", "auto_augment", "colour_jitter"]

Operation = tuple[str, float, int]

# The photometric part of AutoAugment's ImageNet policy (Cubuk et al., arXiv 1805.09501) as IAPC's code uses it:
# rotations and shears are gone, entries are (name, probability, magnitude), doubled entries are drawn twice as often.
_SOLARIZE_CONTRAST = (("solarize", 0.6, 5), ("autocontrast", 0.6, 0))
_EQUALIZE_TWICE = (("equalize", 0.8, 0), ("equalize", 0.6, 0))
_EQUALIZE_SOLARIZE = (("equalize", 0.4, 0), ("solarize", 0.2, 4))
_INVERT_EQUALIZE = (("invert", 0.6, 0), ("equalize", 1.0, 0))
_COLOUR_CONTRAST = (("color", 0.6, 4), ("contrast", 1.0, 8))
POLICY: tuple[tuple[Operation, Operation], ...] = (
    _SOLARIZE_CONTRAST,
    _SOLARIZE_CONTRAST,
    _EQUALIZE_TWICE,
    _EQUALIZE_TWICE,
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    _EQUALIZE_SOLARIZE,
    _EQUALIZE_SOLARIZE,
    (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
    (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
    (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
    _INVERT_EQUALIZE,
    _INVERT_EQUALIZE,
    _COLOUR_CONTRAST,
    _COLOUR_CONTRAST,
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("color", 0.4, 0), ("equalize", 0.6, 0)),
)


def auto_augment(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Apply one pair of the policy, drawn uniformly, to an (H, W, 3) image."""
    result = Image.fromarray(image)
    for name, probability, magnitude in POLICY[int(rng.integers(len(POLICY)))]:
        is_applied, sign = rng.random() < probability, 1 if rng.random() < 0.5 else -1
        if is_applied:
            result = _apply(result, name, magnitude, sign)
    return np.array(result)


def colour_jitter(rng: np.random.Generator, image: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Random brightness, contrast and saturation, each by a factor within 1 +- `strength`."""
    result = Image.fromarray(image)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        result = enhance(result).enhance(float(rng.uniform(1.0 - strength, 1.0 + strength)))
    return np.array(result)


def _apply(image: Image.Image, name: str, magnitude: int, sign: int) -> Image.Image:
    factor = 1.0 + sign * 0.1 * magnitude
    operations: dict[str, Callable[[], Image.Image]] = {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "solarize": lambda: ImageOps.solarize(image, threshold=round(256 * (1 - magnitude / 9))),
        "posterize": lambda: ImageOps.posterize(image, bits=round(8 - 4 * magnitude / 9)),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
    }
    return operations[name]()
