"""Features of made-up frames: what a world gives, and what another one does."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.drift.features import describe
from runtime.drift.reference import Reference, reference_of

Features = NDArray[np.float32]
CLASSES = ("road", "sky", "car")


@pytest.fixture
def world() -> Callable[[int, int], Features]:
    """Gives (number, seed) frames of a world whose features are all about 10 with a deviation of 1."""

    def frames(number: int, seed: int) -> Features:
        values = np.random.default_rng(seed).normal(10, 1, (number, len(describe(CLASSES))))
        return values.astype(np.float32)

    return frames


@pytest.fixture
def reference(world: Callable[[int, int], Features]) -> Reference:
    """Of two hundred frames of the world."""
    return reference_of(world(200, 0), [feature.key for feature in describe(CLASSES)])
