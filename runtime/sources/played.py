"""A recording played like a camera: each frame has the moment at which it is due, and nobody waits for slow readers."""

from collections.abc import Callable
from threading import Event, Lock
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, FrameError, SourceError
from runtime.result import Captured
from runtime.sources.recording import Recording
from runtime.units import SECOND_NS

__all__ = ["Played"]


class Played:
    """Plays a recording from the first `read` on; see `Source`.

    A frame counts as captured at the moment it was due. Numbers of frames that are overdue by more than one period when
    the next one is asked for are lost, as if a camera had gone on; of images the frames themselves are lost too.

    Args:
        recording: closed with this source.
        rate_hz: frames a second.
        is_repeated: start again after the last frame, without end.
        now_ns: the monotonic clock.

    Attributes:
        is_finished: whether the last frame was read.
    """

    def __init__(
        self, recording: Recording, rate_hz: float, *, is_repeated: bool, now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._recording, self._rate_hz, self._is_repeated, self._now_ns = recording, rate_hz, is_repeated, now_ns
        self._period_ns = round(SECOND_NS / rate_hz)
        self._start_ns: int | None = None
        self._frame_id = 0
        self._closing = Event()
        self._lock = Lock()
        self.is_finished = False

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait until the next frame is due; see `Source.read`."""
        now_ns = self._now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        wait_s = (self._due_ns() - now_ns) / SECOND_NS
        if wait_s > 0 and (self._closing.wait(min(wait_s, timeout_s)) or wait_s > timeout_s):
            return None
        with self._lock:
            if self.is_finished or self._closing.is_set():
                return None
            self._skip(max(0, (now_ns - self._due_ns() - 1) // self._period_ns))
            return self._next(into)

    def close(self) -> None:
        """End a wait, and close the recording; may be repeated."""
        self._closing.set()
        with self._lock:
            self._recording.close()

    def _due_ns(self) -> int:
        assert self._start_ns is not None
        return self._start_ns + round(self._frame_id * SECOND_NS / self._rate_hz)

    def _skip(self, num_frames: int) -> None:
        self._frame_id += num_frames
        self._recording.skip(num_frames)

    def _next(self, into: NDArray[np.uint8]) -> Captured | None:
        captured_ns = self._due_ns()
        try:
            name = self._recording.read(into)
            if name is None and self._is_repeated:
                self._recording.rewind()
                name = self._recording.read(into)
        except DataError as error:
            raise SourceError(str(error)) from error
        except FrameError:
            self._frame_id += 1
            raise
        if name is None:
            self.is_finished = True
            return None
        frame_id, self._frame_id = self._frame_id, self._frame_id + 1
        return Captured(frame_id, captured_ns, name)
