"""Frames drawn with replacement, for what a figure on labelled frames is worth on other frames of their kind.

Neighbours in a video are alike, and drawing them one by one would take them for independent; runs of n^(1/3) frames
(the circular block bootstrap, Politis and Romano, 1992) cost frames that are independent little.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUM_RESAMPLES", "drawn_frames", "interval_of"]

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0


def drawn_frames(num_frames: int) -> NDArray[np.int64]:
    """(NUM_RESAMPLES, F): how many times each frame is drawn; about as many draws as there are frames.

    The same at each call, so that networks are compared on the same draws.
    """
    length = max(1, round(num_frames ** (1 / 3)))
    starts = np.random.default_rng(SEED).multinomial(
        round(num_frames / length), np.full(num_frames, 1 / num_frames), size=NUM_RESAMPLES
    )
    drawn: NDArray[np.int64] = sum((np.roll(starts, place, axis=1) for place in range(1, length)), start=starts)
    return drawn


def interval_of(resamples: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the 95 % interval of a figure on resampled frames (percentile method)."""
    low, high = np.quantile(resamples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
