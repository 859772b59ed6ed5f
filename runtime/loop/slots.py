"""Memory of frames and their results, allocated once and handed around instead of copied."""

from collections import deque
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from runtime.result import Captured

__all__ = ["Slot", "SlotPool"]

NOTHING = Captured(-1, -1, "")


class Slot:
    """One frame on its way, with its labels and the moments it passed; whoever holds it has a share in it.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        confidence: (H, W) uint8.
        captured: what the source said.
        read_ns: when it lay in memory whole.
        taken_ns: when the network took it.
        inferred_ns: when the network was done.
        bundle_id: whose labels they are.
    """

    def __init__(self, frame_hw: tuple[int, int]) -> None:
        self.frame: NDArray[np.uint8] = np.zeros((*frame_hw, 3), dtype=np.uint8)
        self.labels: NDArray[np.uint8] = np.zeros(frame_hw, dtype=np.uint8)
        self.confidence: NDArray[np.uint8] = np.zeros(frame_hw, dtype=np.uint8)
        self.read_only = tuple(_locked(array) for array in (self.frame, self.labels, self.confidence))
        self.captured = NOTHING
        self.read_ns = self.taken_ns = self.inferred_ns = 0
        self.bundle_id = ""
        self.num_shares = 0


class SlotPool:
    """A fixed number of slots; taking one waits until one is free.

    Args:
        num_slots: how many.
        frame_hw: height and width of the frames.
    """

    def __init__(self, num_slots: int, frame_hw: tuple[int, int]) -> None:
        self._slots = tuple(Slot(frame_hw) for _ in range(num_slots))
        self._free = deque(self._slots)
        self._changed = Condition()

    def take(self, timeout_s: float) -> Slot | None:
        """A free slot, with one share in it for the caller; None where none became free in time."""
        with self._changed:
            if not self._free and not self._changed.wait_for(lambda: self._free, timeout_s):
                return None
            slot = self._free.popleft()
            slot.num_shares = 1
            return slot

    def share(self, slot: Slot) -> None:
        """One more holder."""
        with self._changed:
            slot.num_shares += 1

    def give_back(self, slot: Slot) -> None:
        """One holder less; the last one frees the slot."""
        with self._changed:
            slot.num_shares -= 1
            assert slot.num_shares >= 0
            if slot.num_shares == 0:
                self._free.append(slot)
                self._changed.notify()

    @property
    def num_free(self) -> int:
        """Slots nobody holds."""
        return len(self._free)


def _locked(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    view = array.view()
    view.flags.writeable = False
    return view
