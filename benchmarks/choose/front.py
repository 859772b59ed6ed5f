"""The Pareto front, points that no other beats in accuracy without taking longer, and which of them to take."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from benchmarks.accuracy import Ahead, PixelCounts, miou_ahead

__all__ = ["Counted", "Timed", "fastest_front", "lead_within", "recommended"]


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


def lead_within(front: Sequence[FoundCounted], budget_ms: float) -> list[tuple[FoundCounted, Ahead]]:
    """The points of a front within the budget, fastest first, each with the lead that the most accurate has over it."""
    within = [point for point in front if point.ms <= budget_ms]
    leads = [(point, miou_ahead(within[-1].counts, point.counts)) for point in within]
    return [(point, lead) for point, lead in leads if lead is not None]


def recommended(front: Sequence[FoundCounted], budget_ms: float) -> FoundCounted | None:
    """The fastest within the budget that the labelled frames cannot tell from the most accurate there; None without.

    That is, the interval of the lead that the most accurate has over it contains zero: time that buys nothing which
    can be shown is better kept.
    """
    return next((point for point, lead in lead_within(front, budget_ms) if lead.low <= 0.0), None)
