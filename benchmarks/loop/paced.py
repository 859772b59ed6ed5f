"""A camera that is exact: frames from memory, each captured at the nanosecond it was due."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Frame
from runtime.result import Captured

__all__ = ["PacedFrames"]


class PacedFrames:
    """Shows frames in rotation at a fixed rate; what is not fetched in time is lost, as in a camera.

    Frame n is due n periods after the first was asked for, whatever happened since: a slow reader does not slow the
    camera down. It gets the newest frame that is due, and the numbers of the others are missing.

    Args:
        frames: (H, W, 3) each.
        period_ns: time between two frames.
        num_frames: how many the camera takes; the last one ends the source.
    """

    def __init__(self, frames: Sequence[Frame], period_ns: int, num_frames: int) -> None:
        self._frames, self._period_ns, self._num_frames = frames, period_ns, num_frames
        self._start_ns = 0
        self._next = 0
        self.is_finished = False

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """See `runtime.sources.source.Source`."""
        if self._next == 0:
            self._start_ns = time.monotonic_ns()
        newest = (time.monotonic_ns() - self._start_ns) // self._period_ns
        frame_id = max(self._next, min(newest, self._num_frames - 1))
        due_ns = self._start_ns + frame_id * self._period_ns
        rest_s = (due_ns - time.monotonic_ns()) / 1e9
        if rest_s > timeout_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, rest_s))
        np.copyto(into, self._frames[frame_id % len(self._frames)])
        self._next = frame_id + 1
        self.is_finished = self._next >= self._num_frames
        return Captured(frame_id, due_ns, "benchmark")

    def close(self) -> None:
        """Nothing is held."""
