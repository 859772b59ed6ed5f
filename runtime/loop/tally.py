"""Counters of a running loop; each is written by one thread alone."""

from operator import attrgetter

from runtime.result import Counters

__all__ = ["Tally"]

# The first one last, so that no frame is seen published that was not yet seen captured.
NAMES = Counters.__slots__[1:] + Counters.__slots__[:1]


class Tally:
    """What `Counters` shows, while it changes."""

    __slots__ = Counters.__slots__

    num_captured: int
    num_lost: int
    num_refused: int
    num_dropped: int
    num_published: int
    num_withheld: int
    num_late: int
    num_restarts: int
    num_swaps: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def counters(self) -> Counters:
        """The counts now."""
        *others, num_captured = _ALL(self)
        return Counters(num_captured, *others)


_ALL = attrgetter(*NAMES)
