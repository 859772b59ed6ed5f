"""The Pareto front: points that no other beats in accuracy without taking longer."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

__all__ = ["Timed", "fastest_front", "recommended"]


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


Found = TypeVar("Found", bound=Timed)


def fastest_front(points: Sequence[Found]) -> list[Found]:
    """The front, fastest first: each point is more accurate than all that are as fast or faster.

    Of points of equal time and accuracy the first is kept.
    """
    front: list[Found] = []
    for point in sorted(points, key=lambda found: (found.ms, -found.miou)):
        if not front or point.miou > front[-1].miou:
            front.append(point)
    return front


def recommended(front: Sequence[Found], budget_ms: float) -> Found | None:
    """The most accurate point of a front within the budget; None where none is."""
    within = [point for point in front if point.ms <= budget_ms]
    return within[-1] if within else None
