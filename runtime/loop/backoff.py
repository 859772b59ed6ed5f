"""Waits that double, up to a limit, and end at once when the loop is to stop."""

from threading import Event

__all__ = ["Backoff"]


class Backoff:
    """Waits between attempts.

    Args:
        first_s: the first wait.
        max_s: the longest.
        stopping: ends a wait.
    """

    def __init__(self, first_s: float, max_s: float, stopping: Event) -> None:
        self._first_s, self._max_s, self._stopping = first_s, max_s, stopping
        self.num_waits = 0

    def wait(self) -> None:
        """Wait, longer than the last time."""
        self._stopping.wait(min(self._first_s * 2.0**self.num_waits, self._max_s))
        self.num_waits += 1

    def reset(self) -> None:
        """It went well: the next wait is the first one again."""
        self.num_waits = 0
