"""How the running loop lends frames to a bundle on trial without ever waiting for it."""

from threading import Event

import numpy as np
from numpy.typing import NDArray

from runtime.segmenter import Segmentation

__all__ = ["Shadow"]


class Shadow:
    """One frame at a time passes from the loop's thread, with the served bundle's labels, to the trial's thread.

    Both bundles are timed under the same load: where the trial's frame ran beside the next one of the loop, that next
    one is what it is compared with, because they slowed each other; else the loop's own time for the same frame.

    Args:
        frame_hw: height and width of the frames.

    Attributes:
        frame: (H, W, 3) uint8, the frame lent last.
        labels: (H, W) uint8, what the served bundle said about it.
        served_ns: the served bundle's time to compare each frame lent with.
    """

    def __init__(self, frame_hw: tuple[int, int]) -> None:
        self.frame: NDArray[np.uint8] = np.empty((*frame_hw, 3), dtype=np.uint8)
        self.labels: NDArray[np.uint8] = np.empty(frame_hw, dtype=np.uint8)
        self.served_ns: list[int] = []
        self._lent = Event()
        self._is_wanted = self._is_running = self._is_beside = self._is_first_after = False

    def begins(self) -> None:
        """The loop's thread is about to segment a frame."""
        self._is_beside = self._is_running and self._is_first_after
        self._is_first_after = False

    def segmented(self, frame: NDArray[np.uint8], segmentation: Segmentation) -> None:
        """The loop's thread has segmented it; copies frame and labels if the trial's thread asked for them."""
        if self._is_beside:
            self.served_ns[-1] = segmentation.latency_ns
        if self._is_wanted:
            np.copyto(self.frame, frame)
            np.copyto(self.labels, segmentation.labels)
            self.served_ns.append(segmentation.latency_ns)
            self._is_wanted = False
            self._is_running = self._is_first_after = True
            self._lent.set()

    def borrow(self) -> None:
        """The trial's thread waits for a frame, or for `wake`."""
        self._is_running = False
        self._is_wanted = True
        self._lent.wait()
        self._lent.clear()

    def returned(self) -> None:
        """The trial's thread is done with the frame."""
        self._is_running = False

    def wake(self) -> None:
        """Nothing more will be lent."""
        self._lent.set()
