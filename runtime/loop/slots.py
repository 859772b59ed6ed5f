"""Memory of frames and their results, allocated once and handed around instead of copied."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import read_only
from runtime.result import NOTHING

__all__ = ["Slot", "SlotPool"]


class Slot:
    """One frame on its way, with its labels and the moments it passed; whoever holds it has a share in it.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        confidence: (H, W) uint8.
        read_only: views of the three.
        captured: what the source said.
        read_ns: when it lay in memory whole.
        taken_ns: when the network took it.
        inferred_ns: when the network was done.
        kept_ns: when its output was copied.
        bundle_id: whose labels they are.
    """

    def __init__(self, frame_hw: tuple[int, int]) -> None:
        self.frame: NDArray[np.uint8] = np.zeros((*frame_hw, 3), dtype=np.uint8)
        self.labels: NDArray[np.uint8] = np.zeros(frame_hw, dtype=np.uint8)
        self.confidence: NDArray[np.uint8] = np.zeros(frame_hw, dtype=np.uint8)
        self.read_only = (read_only(self.frame), read_only(self.labels), read_only(self.confidence))
        self.captured = NOTHING
        self.read_ns = self.taken_ns = self.inferred_ns = self.kept_ns = 0
        self.bundle_id = ""
        self.num_shares = 0


class SlotPool:
    """A fixed number of slots, enough for all that can be held at once: taking one never waits.

    Args:
        num_slots: how many.
        frame_hw: height and width of the frames.
    """

    def __init__(self, num_slots: int, frame_hw: tuple[int, int]) -> None:
        self.num_slots = num_slots
        self._free = [Slot(frame_hw) for _ in range(num_slots)]
        self._lock = Lock()

    def take(self) -> Slot:
        """A free slot, with one share in it for the caller: the one freed last, which caches still know."""
        with self._lock:
            assert self._free, "someone holds more slots than were counted for it"
            slot = self._free.pop()
            slot.num_shares = 1
            return slot

    def share(self, slot: Slot) -> None:
        """One more holder."""
        with self._lock:
            assert slot.num_shares > 0
            slot.num_shares += 1

    def give_back(self, slot: Slot) -> None:
        """One holder less; the last one frees the slot."""
        with self._lock:
            assert slot.num_shares > 0
            slot.num_shares -= 1
            if slot.num_shares == 0:
                self._free.append(slot)

    @property
    def num_free(self) -> int:
        """Slots nobody holds."""
        return len(self._free)
