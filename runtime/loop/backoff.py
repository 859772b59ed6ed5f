"""Waits between attempts, which double up to a limit."""

__all__ = ["Backoff"]


class Backoff:
    """How long to wait before another attempt.

    Args:
        first_s: the first wait.
        max_s: the longest.

    Attributes:
        num_waits: since it went well.
    """

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s, self._max_s = min(first_s, max_s), max_s
        self.num_waits, self._next_s = 0, self._first_s

    def next_s(self) -> float:
        """The next wait, longer than the last one."""
        self.num_waits += 1
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._max_s)
        return wait_s

    def reset(self) -> None:
        """It went well: the next wait is the first one again."""
        self.num_waits, self._next_s = 0, self._first_s
