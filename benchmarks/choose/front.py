"""The Pareto front, points that no other beats in accuracy without taking longer, and which of them to take."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from benchmarks.accuracy import Lead, PixelCounts, miou_lead

__all__ = ["Counted", "Timed", "fastest_front", "leads_within", "recommended"]


class Timed(Protocol):
    """Something that takes `ms` milliseconds and has `miou` percent."""

    @property
    def ms(self) -> float:
        """Milliseconds from frame to labels."""
        ...

    @property
    def miou(self) -> float:
        """Accuracy in percent."""
        ...


class Counted(Timed, Protocol):
    """Something timed, whose accuracy is known frame by frame; all of a front on the same frames."""

    @property
    def counts(self) -> PixelCounts:
        """Pixels by class and frame."""
        ...


Found = TypeVar("Found", bound=Timed)
FoundCounted = TypeVar("FoundCounted", bound=Counted)


def fastest_front(points: Sequence[Found]) -> list[Found]:
    """The front, fastest first: each point is more accurate than all that are as fast or faster.

    Of points of equal time and accuracy the first is kept.
    """
    front: list[Found] = []
    for point in sorted(points, key=lambda found: (found.ms, -found.miou)):
        if not front or point.miou > front[-1].miou:
            front.append(point)
    return front


def leads_within(front: Sequence[FoundCounted], budget_ms: float) -> list[tuple[FoundCounted, Lead]]:
    """The points of a front within the budget, fastest first, each with the lead that the most accurate has over it."""
    within = [point for point in front if point.ms <= budget_ms]
    found = []
    for point in within:
        lead = miou_lead(within[-1].counts, point.counts)
        # A point has a mIoU, and so a labelled pixel.
        assert lead is not None
        found.append((point, lead))
    return found


def recommended(leads: Sequence[tuple[Found, Lead]], max_loss: float) -> Found | None:
    """The fastest that loses at most `max_loss` against the most accurate; None where there is nothing.

    It has to be shown, by the upper end of the interval: what a few frames cannot tell apart may still be points apart,
    so the fewer the frames, the more accurate is what is taken, and where they are too few for an interval it is the
    most accurate itself. That one was picked on the same frames, so its lead is more often too large than too small.

    Args:
        leads: see `leads_within`.
        max_loss: in points of mIoU.
    """
    enough = (point for point, lead in leads if lead.interval is not None and lead.interval[1] <= max_loss)
    return next(enough, leads[-1][0] if leads else None)
