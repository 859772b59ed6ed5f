"""Frames from the program that embeds the loop: it gives each when its camera's driver calls it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from runtime.errors import FrameError
from runtime.frames import check_frame
from runtime.loop.mailbox import Mailbox
from runtime.result import NOTHING, Captured
from runtime.sources.names import frame_name

__all__ = ["PushSource"]

# One being written, one waiting, one being read.
NUM_SLOTS = 3


@dataclass(slots=True)
class _Slot:
    frame: NDArray[np.uint8]
    captured: Captured
    problem: FrameError | None = None


class PushSource:
    """Takes frames from one thread and gives the newest to another; see `Source`. It survives `close`, as its program.

    Args:
        frame_hw: height and width of the bundle's frames.
        name: what frames are called in files and messages.
        now_ns: the monotonic clock.
    """

    def __init__(
        self, frame_hw: tuple[int, int], name: str = "frame", now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._frame_hw, self._name, self._now_ns = frame_hw, name, now_ns
        self._free = deque(_Slot(np.zeros((*frame_hw, 3), np.uint8), NOTHING) for _ in range(NUM_SLOTS))
        self._newest: Mailbox[_Slot] = Mailbox()
        self._next_id = 0

    def give(self, frame: NDArray[np.uint8], captured_ns: int | None = None, frame_id: int | None = None) -> None:
        """Copy a frame, in place of one that was not read yet; never waits and raises nothing.

        A frame of another type or size is told to the loop, whose health shows it.

        Args:
            frame: (H, W, 3) uint8 RGB.
            captured_ns: when it was captured, by `time.monotonic_ns`; None takes now.
            frame_id: the camera's own number, so that frames it lost are counted; None counts the calls.
        """
        now_ns = self._now_ns()
        captured_ns = now_ns if captured_ns is None else captured_ns
        frame_id = self._next_id if frame_id is None else frame_id
        self._next_id = frame_id + 1
        slot = self._free.popleft()
        slot.captured = Captured(frame_id, captured_ns, frame_name(self._name, captured_ns, now_ns))
        try:
            check_frame(frame, self._frame_hw, f"{self._name} {frame_id}")
            np.copyto(slot.frame, frame)
            slot.problem = None
        except FrameError as error:
            slot.problem = error
        replaced = self._newest.put(slot)
        if replaced is not None:
            self._free.append(replaced)

    def finish(self) -> None:
        """There will be no more frames."""
        self._newest.close()

    @property
    def is_finished(self) -> bool:
        """Whether `finish` was called and the last frame was read."""
        return self._newest.is_exhausted

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait for the newest frame; see `Source.read`."""
        slot = self._newest.take(timeout_s)
        if slot is None:
            return None
        try:
            if slot.problem is not None:
                raise slot.problem
            np.copyto(into, slot.frame)
            return slot.captured
        finally:
            self._free.append(slot)

    def close(self) -> None:
        """Nothing: the frames come from a program that goes on."""
