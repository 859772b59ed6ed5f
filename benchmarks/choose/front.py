"""The Pareto front: points that no other beats in accuracy without taking longer."""

from collections.abc import Sequence

from benchmarks.choose.points import Point

__all__ = ["fastest_front", "recommended"]


def fastest_front(points: Sequence[Point]) -> list[Point]:
    """The front, fastest first: each point is more accurate than all that are as fast or faster.

    Of points of equal time and accuracy the first is kept.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda found: (found.ms, -found.miou)):
        if not front or point.miou > front[-1].miou:
            front.append(point)
    return front


def recommended(front: Sequence[Point], budget_ms: float) -> Point | None:
    """The most accurate point of a front within the budget; None where none is."""
    within = [point for point in front if point.ms <= budget_ms]
    return within[-1] if within else None
