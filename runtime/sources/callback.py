"""Frames from the program that embeds the loop: it is asked for each."""

from collections.abc import Callable
from time import monotonic_ns
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.frames import check_frame
from runtime.result import Captured
from runtime.sources.names import frame_name

__all__ = ["CallbackSource", "ReadFrame"]

ReadFrame: TypeAlias = Callable[[float], "NDArray[np.uint8] | tuple[NDArray[np.uint8], int] | None"]
"""Waits for a frame, the given seconds at most, and gives (H, W, 3) uint8 RGB, alone or with its moment of capture in
nanoseconds of `time.monotonic_ns`; None where none came in time. The array is copied before the next call."""


class CallbackSource:
    """Asks a function for each frame; see `Source`.

    `FrameError` and `SourceError` of the function mean what they mean in `Source`, and `StopIteration` that there will
    be no more frames; any other exception is told as a lost source, and the function is asked again later.

    Args:
        read: gives frames. Without a moment of capture, that at which it returned counts.
        name: what frames are called in files and messages.
        now_ns: the monotonic clock.

    Attributes:
        is_finished: whether the function raised StopIteration.
    """

    def __init__(self, read: ReadFrame, name: str = "frame", now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._read, self._name, self._now_ns = read, name, now_ns
        self._num_frames = 0
        self.is_finished = False

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Ask for a frame; see `Source.read`. It takes as long as the function takes."""
        try:
            given = self._read(timeout_s)
        except StopIteration:
            self.is_finished = True
            return None
        except (FrameError, SourceError):
            raise
        except Exception as error:
            raise SourceError(f"the function that gives frames raised {type(error).__name__}: {error}") from error
        if given is None:
            return None
        now_ns, frame_id = self._now_ns(), self._num_frames
        self._num_frames += 1
        frame, captured_ns = given if isinstance(given, tuple) else (given, now_ns)
        height, width = into.shape[:2]
        check_frame(frame, (height, width), f"{self._name} {frame_id}")
        np.copyto(into, frame)
        return Captured(frame_id, captured_ns, frame_name(self._name, captured_ns, now_ns))

    def close(self) -> None:
        """Nothing: the function belongs to its program."""
