"""Whether an output may be published, by what it shows of the engine that made it."""

from runtime.health.reasons import Reason
from runtime.loop.slots import Slot, SlotPool
from runtime.outputs import MIN_CHANGED, is_same, share_changed, why_not_finite

__all__ = ["OutputCheck"]


class OutputCheck:
    """Compares each output with the one before, whose slot it holds.

    Args:
        pool: the slots.
        num_classes: of the network.
        max_repeated: outputs in a row that may equal the one before, less one.
    """

    def __init__(self, pool: SlotPool, num_classes: int, max_repeated: int) -> None:
        self._pool, self._num_classes, self._max_repeated = pool, num_classes, max_repeated
        self._last: Slot | None = None
        self._num_repeated = 0

    def problem(self, slot: Slot) -> tuple[Reason, str] | None:
        """Why an output must not be used; None where nothing speaks against it."""
        not_finite = why_not_finite(slot.confidence, self._num_classes)
        if not_finite is not None:
            return Reason.OUTPUT_NOT_FINITE, not_finite
        last = self._last
        if last is None or not (is_same(slot.labels, last.labels) and is_same(slot.confidence, last.confidence)):
            self._num_repeated = 0
        elif share_changed(slot.frame, last.frame) >= MIN_CHANGED:
            # A camera that repeats itself is the reader's finding, and no fault of the engine.
            self._num_repeated += 1
        self._pool.share(slot)
        self.forget()
        self._last = slot
        if self._num_repeated >= self._max_repeated:
            return Reason.OUTPUT_FROZEN, "frames that differ have the very same labels and confidence"
        return None

    def forget(self) -> None:
        """Give back the slot of the output before."""
        if self._last is not None:
            self._pool.give_back(self._last)
            self._last = None
