"""A segmenter that goes wrong when told to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.segmenter import Segmentation, Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.store import OpenSegmenter

__all__ = ["Alter", "altering"]

Alter = Callable[[int, Segmentation], Segmentation]


class Altered(Segmenter):
    """Gives `alter(number of the call, what the network said)`."""

    def __init__(self, inner: Segmenter, alter: Alter) -> None:
        self.manifest = inner.manifest
        self._inner, self._alter, self._num_calls = inner, alter, 0

    def segment(self, frame: NDArray[np.uint8]) -> Segmentation:
        self._num_calls += 1
        return self._alter(self._num_calls, self._inner.segment(frame))

    def close(self) -> None:
        self._inner.close()


def altering(bundle_id: str, alter: Alter) -> OpenSegmenter:
    """Opens bundles, and alters one."""

    def open_segmenter(bundle: Path, config: RuntimeConfig) -> Segmenter:
        segmenter = Segmenter.open(bundle, config)
        return Altered(segmenter, alter) if bundle.name == bundle_id else segmenter

    return open_segmenter
