"""What the loop asks of whoever wants its results."""

from typing import Protocol

from runtime.result import Result, Status

__all__ = ["Sink"]


class Sink(Protocol):
    """A consumer; each has a thread of its own, so that a slow one loses results and delays nobody.

    A sink that falls behind gets the newest result and the newest status next; it misses those between.
    """

    def write(self, result: Result) -> None:
        """Take a result; its arrays are valid until this returns.

        Raises:
            SinkError: the result could not be taken; the next one will be tried.
        """
        ...

    def tell(self, status: Status) -> None:
        """Take news of the loop: at the first heartbeat after a change of health, and at each that had no result.

        Raises:
            SinkError: as for `write`.
        """
        ...

    def close(self) -> None:
        """Finish files and give back memory; called once, after the last result.

        Raises:
            SinkError: what was written so far could not be finished.
        """
        ...
