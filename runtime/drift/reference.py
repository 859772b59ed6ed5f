"""What the world looked like when the bundle was made: statistics of its frames' features, in the manifest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from runtime.config import StrictModel

__all__ = ["FeatureReference", "Reference", "reference_of"]

# One odd frame in fifty must not widen a range for good.
TRIMMED = 0.02
# A correlation is summed up to so many times its length (Sokal's window): further out there is noise alone.
WINDOW = 5


class FeatureReference(StrictModel):
    """One feature over the reference frames: mean, standard deviation, and the range most of them lie in."""

    mean: float
    spread: float = Field(ge=0.0)
    low: float
    high: float


class Reference(StrictModel):
    """Features of unlabelled frames of the domain, as the bundle's network sees them.

    `num_independent` is how many frames that knew nothing of each other would tell as much: frames of one drive, in
    their order, resemble their neighbours. `share_outside` of the frames lie above the range of a feature, and as many
    below it. `features` are keyed and ordered as `runtime.drift.features.describe` gives them.
    """

    num_frames: PositiveInt
    num_independent: float = Field(ge=1.0)
    share_outside: float = Field(ge=0.0, lt=0.5)
    features: dict[str, FeatureReference]


def reference_of(features: NDArray[np.float32], keys: Sequence[str]) -> Reference:
    """Sum up the features of frames.

    Args:
        features: (N, D), in the order in which the frames were taken.
        keys: D names.
    """
    num_frames = len(features)
    num_outside = int(TRIMMED * num_frames)
    ordered = np.sort(features, axis=0)
    columns = zip(
        features.mean(axis=0).tolist(),
        features.std(axis=0).tolist(),
        ordered[num_outside].tolist(),
        ordered[num_frames - 1 - num_outside].tolist(),
        strict=True,
    )
    lengths = [_correlation_length(column) for column in features.T.astype(np.float64) if np.ptp(column) > 0]
    return Reference(
        num_frames=num_frames,
        num_independent=max(1.0, num_frames / float(np.median(lengths or [1.0]))),
        share_outside=num_outside / num_frames,
        features={
            key: FeatureReference(mean=mean, spread=spread, low=low, high=high)
            for key, (mean, spread, low, high) in zip(keys, columns, strict=True)
        },
    )


def _correlation_length(series: NDArray[np.float64]) -> float:
    """Frames that count as one: 1 + 2 times the sum of the autocorrelation; 1 where neighbours are independent."""
    centred = series - series.mean()
    length, variance = 1.0, float(centred @ centred)
    for lag in range(1, len(series)):
        length += 2 * float(centred[lag:] @ centred[:-lag]) / variance
        if lag >= WINDOW * length:
            break
    return max(1.0, length)
