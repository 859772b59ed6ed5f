"""A network that takes as long as a test says, and gives the labels that it says."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.bundle.opening import read_manifest
from runtime.segmenter import Segmenter

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Backend:
    """Labels are the frame's red channel modulo the classes, plus `offset` from call `changes_at` on."""

    def __init__(self, takes_s: float = 0.0, *, changes_at: int | None = None) -> None:
        self.takes_s, self.changes_at, self.num_calls = takes_s, changes_at, 0

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        time.sleep(self.takes_s)
        offset = self.changes_at is not None and self.num_calls >= self.changes_at
        self.num_calls += 1
        labels = (frame[..., 0] + np.uint8(offset)) % np.uint8(19)
        return labels, np.full(labels.shape, 255, dtype=np.uint8)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def make_segmenter(exported_once: Any) -> Callable[..., Segmenter]:
    def make(*arguments: Any, **options: Any) -> Segmenter:
        return Segmenter(read_manifest(exported_once.bundle), Backend(*arguments, **options))

    return make


@pytest.fixture
def frames() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(256, size=(64, 96, 3), dtype=np.uint8) for _ in range(5)]
