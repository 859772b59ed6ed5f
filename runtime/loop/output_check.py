"""What an output shows of the engine that made it: NaN behind the labels, or the answer to another frame."""

from runtime.health.reasons import Reason
from runtime.loop.slots import Slot, SlotPool, is_same, share_changed

__all__ = ["OutputCheck"]

# Two frames differ where this share of their values does: noise alone changes more, a compressed still picture less.
MIN_CHANGED = 0.1


class OutputCheck:
    """Compares each output with the one before, whose slot it holds.

    The largest of C probabilities is at least 1 / C, so a confidence below that comes from logits that are not
    finite: their labels are class 0 everywhere, which would look like a road.

    Args:
        pool: the slots.
        num_classes: C.
        max_repeated: outputs in a row that may equal the one before, less one.
    """

    def __init__(self, pool: SlotPool, num_classes: int, max_repeated: int) -> None:
        # Rounding to a byte may take one level.
        self._least = max(0, 255 // num_classes - 1)
        self._pool, self._max_repeated = pool, max_repeated
        self._last: Slot | None = None
        self._num_repeated = 0

    def problem(self, slot: Slot) -> tuple[Reason, str] | None:
        """Why an output must not be used; None where nothing speaks against it."""
        least = int(slot.confidence.min())
        if least < self._least:
            return Reason.OUTPUT_NOT_FINITE, (
                f"a pixel has confidence {least} of 255, less than finite logits of these classes can give "
                f"({self._least}); the network's output is NaN or infinite there"
            )
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
