"""The wish to stop, which may come from a signal handler."""

from queue import Empty, SimpleQueue

__all__ = ["StopFlag"]


class StopFlag:
    """Like `threading.Event`, whose `set` would wait for ever in a handler that interrupted its own `wait`.

    Attributes:
        is_set: whether someone asked to stop.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._wish: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Ask to stop; from any thread, and from a handler that interrupts anything."""
        self.is_set = True
        self._wish.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait to be asked; gives `is_set`."""
        try:
            self._wish.get(timeout=timeout_s)
        except Empty:
            return self.is_set
        # For whoever else waits.
        self._wish.put(None)
        return True
