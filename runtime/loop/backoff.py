"""Waits that double, up to a limit, and end at once when the loop is to stop."""

from runtime.loop.stop_flag import StopFlag

__all__ = ["Backoff"]


class Backoff:
    """Waits between attempts.

    Args:
        first_s: the first wait.
        max_s: the longest.
        stopping: ends a wait.

    Attributes:
        num_waits: since it went well.
    """

    def __init__(self, first_s: float, max_s: float, stopping: StopFlag) -> None:
        self._first_s, self._max_s, self._stopping = first_s, max_s, stopping
        self.num_waits, self._next_s = 0, first_s

    def wait(self) -> bool:
        """Wait, longer than the last time; whether the loop is still to go on."""
        self.num_waits += 1
        wait_s = min(self._next_s, self._max_s)
        self._next_s = 2 * wait_s
        return not self._stopping.wait(wait_s)

    def reset(self) -> None:
        """It went well: the next wait is the first one again."""
        self.num_waits, self._next_s = 0, self._first_s
