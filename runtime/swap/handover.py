"""What passes between the loop's thread and the successor's: frames one way, a bundle the other, and one back."""

from dataclasses import dataclass
from threading import Event

from runtime.segmenter import Segmenter
from runtime.swap.shadow import Shadow

__all__ = [
    "Handover",
    "Opened",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that can serve."""

    segmenter: Segmenter
    bundle_id: str


@dataclass(frozen=True, slots=True)
class Retired:
    """The bundle that serves no more; `problem` says why it was the new one, None where it was the old one."""

    opened: Opened
    problem: str | None


class Handover:
    """The loop's thread never waits in it.

    Attributes:
        shadow: lends frames to a bundle on trial; None where there is none.
    """

    def __init__(self) -> None:
        self.shadow: Shadow | None = None
        self._offered: Opened | None = None
        self._retired: Retired | None = None
        self._is_over = Event()

    def offer(self, opened: Opened) -> Retired | None:
        """On the successor's thread: let the loop take a bundle over, and wait until its probation is over.

        Returns:
            What serves no more; None after `end`.
        """
        self._offered = opened
        self._is_over.wait()
        retired, self._retired = self._retired, None
        if retired is not None:
            self._is_over.clear()
        return retired

    def take(self) -> Opened | None:
        """On the loop's thread: the bundle to put in service; None where there is none."""
        offered = self._offered
        if offered is not None:
            self._offered = None
        return offered

    def retire(self, opened: Opened, problem: str | None) -> None:
        """On the loop's thread: the probation is over."""
        self._retired = Retired(opened, problem)
        self._is_over.set()

    def end(self) -> None:
        """Wake the successor's thread, whatever it waits for here."""
        self._is_over.set()
        shadow = self.shadow
        if shadow is not None:
            shadow.wake()
