"""The newest result's arrays, kept in memory of our own that is allocated once."""

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from runtime.result import NOTHING, Captured, Result

__all__ = ["Kept", "NewestKept"]


@dataclass(slots=True)
class Kept:
    """A copy of one result's arrays; all of it belongs to that result."""

    frame: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    captured: Captured = NOTHING

    @property
    def is_empty(self) -> bool:
        """Whether no result was ever copied here."""
        return self.captured is NOTHING


class NewestKept:
    """Hands results from one writer to one reader at a time; neither waits while the other copies or draws.

    Of three buffers one is being written, one is the newest, and one is with the reader; they change places.

    Args:
        frame_hw: height and width of the frames.
    """

    def __init__(self, frame_hw: tuple[int, int]) -> None:
        self._written, self._newest, self._read = (_kept(frame_hw) for _ in range(3))
        self._is_new = False
        self._lock = Lock()

    def put(self, result: Result) -> None:
        """Copy a result; one that nobody took is overwritten by the next."""
        kept = self._written
        np.copyto(kept.frame, result.frame)
        np.copyto(kept.labels, result.labels)
        np.copyto(kept.confidence, result.confidence)
        kept.captured = result.captured
        with self._lock:
            self._written, self._newest = self._newest, kept
            self._is_new = True

    def take(self) -> Kept:
        """The newest result, which stays as it is until the next call."""
        with self._lock:
            if self._is_new:
                self._read, self._newest = self._newest, self._read
                self._is_new = False
            return self._read


def _kept(frame_hw: tuple[int, int]) -> Kept:
    return Kept(
        np.zeros((*frame_hw, 3), dtype=np.uint8), np.zeros(frame_hw, dtype=np.uint8), np.zeros(frame_hw, dtype=np.uint8)
    )
