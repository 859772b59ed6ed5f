"""Frames that another process writes into shared memory."""

from time import monotonic, monotonic_ns, sleep

import numpy as np
from numpy.typing import NDArray

from runtime.errors import SourceError
from runtime.result import Captured
from runtime.ring.layout import Kind, Verdict
from runtime.ring.reader import RingReader
from runtime.sources.names import frame_name

__all__ = ["RingSource"]

# Adds half of itself to the age of a frame, on average, and costs about 3 % of a core.
POLL_S = 0.001


class RingSource:
    """A `Source` over a ring of frames; goes on with the camera's next process when the first one ended.

    Args:
        name: that of the ring.
        frame_hw: height and width that the bundle takes.

    Raises:
        SourceError: there is no such ring, it holds something else or frames of another size, or its writer is gone.
        BackendError: the compiled part is missing.
    """

    def __init__(self, name: str, frame_hw: tuple[int, int]) -> None:
        self._name, self._frame_hw = name, frame_hw
        self._number = 0
        self._reader = self._opened()

    @property
    def is_finished(self) -> bool:
        """A camera is never finished."""
        return False

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait for a frame newer than the last one; see `Source.read`."""
        end_s = monotonic() + timeout_s
        while True:
            slot = self._reader.newest(self._number, into=(into,))
            if slot is not None:
                self._number = slot.number
                file_name = frame_name(self._name, slot.captured_ns, monotonic_ns())
                return Captured(slot.frame_id, slot.captured_ns, file_name)
            if not self._reader.has_writer:
                self._take_over()
            if monotonic() >= end_s:
                return None
            sleep(POLL_S)

    def close(self) -> None:
        """Give back the memory; may be repeated."""
        self._reader.close()

    def _take_over(self) -> None:
        self._reader.close()
        self._reader = self._opened()
        self._number = 0

    def _opened(self) -> RingReader:
        reader = RingReader.open(self._name)
        problem = self._problem(reader)
        if problem is not None:
            reader.close()
            raise SourceError(f"ring {self._name} {problem}")
        return reader

    def _problem(self, reader: RingReader) -> str | None:
        if reader.kind is not Kind.FRAMES:
            return f"holds {reader.kind.name.lower()}, expected frames; name the ring that the camera writes"
        if reader.frame_hw != self._frame_hw:
            (height, width), (expected_height, expected_width) = reader.frame_hw, self._frame_hw
            return (
                f"holds frames of {width}x{height}, the bundle takes {expected_width}x{expected_height}; let the "
                "camera write that size, or export the bundle for this one"
            )
        if reader.verdict(None) in (Verdict.STOPPED, Verdict.WRITER_DEAD):
            return f"has no writer any more (it was process {reader.layout.writer_pid}); start the camera again"
        return None
