"""Counters of a running loop; each is written by one thread alone."""

from runtime.result import Counters

__all__ = ["Tally"]


class Tally:
    """What `Counters` shows, while it changes."""

    __slots__ = tuple(Counters.__slots__)

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    num_captured: int
    num_lost: int
    num_refused: int
    num_dropped: int
    num_published: int
    num_withheld: int
    num_late: int
    num_restarts: int
    num_swaps: int

    def counters(self) -> Counters:
        """The counts now."""
        return Counters(*(getattr(self, name) for name in self.__slots__))
