"""What an output shows of the engine that made it: NaN behind the labels, or the answer to another frame."""

import numpy as np
from numpy.typing import NDArray

from runtime.health.reasons import Reason

__all__ = ["OutputCheck"]

# Pixels between those compared first; whole maps are compared only where these are equal.
SAMPLE_STEP = 61


class OutputCheck:
    """Compares each output with the one before; allocates nothing after the first frame.

    The largest of C probabilities is at least 1 / C, so a confidence below that comes from logits that are not
    finite: their labels are class 0 everywhere, which would look like a road.

    Args:
        num_classes: C.
        frame_hw: height and width of the maps.
        max_repeated: outputs in a row that may equal the one before.
    """

    def __init__(self, num_classes: int, frame_hw: tuple[int, int], max_repeated: int) -> None:
        # Rounding to a byte may take one level.
        self._least = max(0, 255 // num_classes - 1)
        self._max_repeated = max_repeated
        self._last = [np.zeros(frame_hw, dtype=np.uint8) for _ in range(2)]
        self._is_equal = np.zeros(frame_hw, dtype=np.bool_)
        self._last_pixels: NDArray[np.uint8] | None = None
        self._num_repeated = 0

    def problem(
        self, frame: NDArray[np.uint8], labels: NDArray[np.uint8], confidence: NDArray[np.uint8]
    ) -> tuple[Reason, str] | None:
        """Why an output must not be used; None where nothing speaks against it.

        Args:
            frame: (H, W, 3).
            labels: (H, W).
            confidence: (H, W).
        """
        least = int(confidence.min())
        if least < self._least:
            return Reason.OUTPUT_NOT_FINITE, (
                f"a pixel has confidence {least} of 255, less than finite logits of these classes can give "
                f"({self._least}); the network's output is NaN or infinite there"
            )
        is_repeated = self._is_same(labels, self._last[0]) and self._is_same(confidence, self._last[1])
        pixels = frame.reshape(-1)[::SAMPLE_STEP]
        is_same_frame = self._last_pixels is not None and np.array_equal(pixels, self._last_pixels)
        # A camera that repeats itself is the reader's finding, and no fault of the engine.
        self._num_repeated = self._num_repeated + 1 if is_repeated and not is_same_frame else 0
        if not is_repeated:
            np.copyto(self._last[0], labels)
            np.copyto(self._last[1], confidence)
        if self._last_pixels is None:
            self._last_pixels = np.empty_like(pixels)
        np.copyto(self._last_pixels, pixels)
        if self._num_repeated >= self._max_repeated:
            return Reason.OUTPUT_FROZEN, (
                f"{self._num_repeated + 1} frames that differ have the very same labels and confidence"
            )
        return None

    def _is_same(self, now: NDArray[np.uint8], before: NDArray[np.uint8]) -> bool:
        if not np.array_equal(now.reshape(-1)[::SAMPLE_STEP], before.reshape(-1)[::SAMPLE_STEP]):
            return False
        return bool(np.equal(now, before, out=self._is_equal).all())
