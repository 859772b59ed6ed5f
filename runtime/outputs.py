"""What an output shows of the engine that made it: NaN behind the labels, or the answer to another frame."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_CHANGED", "is_same", "share_changed", "why_not_finite"]

# Two frames differ where this share of their values does: noise alone changes more, a compressed still picture less.
MIN_CHANGED = 0.1
# Values that are compared before all are, or instead.
NUM_SAMPLES = 512


def why_not_finite(confidence: NDArray[np.uint8], num_classes: int) -> str | None:
    """What shows that logits were NaN or infinite; None where nothing does.

    The largest of C probabilities is at least 1 / C, so a confidence below that comes from logits that are not
    finite: their labels are class 0 everywhere, which would look like a road.

    Args:
        confidence: (H, W), 255 at certainty.
        num_classes: C.
    """
    # Rounding to a byte may take one level.
    floor, least = max(0, 255 // num_classes - 1), int(confidence.min())
    if least >= floor:
        return None
    return (
        f"a pixel has confidence {least} of 255, less than finite logits of these classes can give ({floor}); the "
        "network's output is NaN or infinite there"
    )


def is_same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two contiguous arrays of one shape are equal; quick where they are not alike at all."""
    return np.array_equal(_sampled(one), _sampled(other)) and np.array_equal(one, other)


def share_changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """About which share of the values of two contiguous arrays of one shape differs."""
    return float(np.count_nonzero(_sampled(one) != _sampled(other)) / _sampled(one).size)


def _sampled(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array.reshape(-1)[:: array.size // NUM_SAMPLES | 1]
