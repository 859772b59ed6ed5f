"""Accuracy against latency: every contender a numbered dot, and the line of those that none beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.choose.front import fastest_front
from benchmarks.report.charts.axes import Frame, svg
from benchmarks.report.charts.lines import path_of

__all__ = ["Contender", "front_chart", "front_of"]

NEAR = 13.0
"""Numbers of dots closer than this would lie on each other."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is fast and right, each by so much: milliseconds, and mIoU in percent."""

    name: str
    ms: float
    miou: float


def front_of(contenders: Sequence[Contender]) -> list[int]:
    """Places of those that no other beats, fastest first."""
    on_front = fastest_front(contenders)
    return [next(place for place, one in enumerate(contenders) if one is found) for found in on_front]


def front_chart(
    contenders: Sequence[Contender],
    *,
    x_name: str = "median, milliseconds",
    budget_ms: float | None = None,
    is_front_numbered: bool = False,
) -> Markup:
    """The picture; dots carry their place in `contenders`, counted from 1, and a budget is a dashed line.

    Of many contenders the numbers would lie on each other: with `is_front_numbered` only those of the front have one,
    counted along it.
    """
    times, scores = [one.ms for one in contenders], [one.miou for one in contenders]
    times += [] if budget_ms is None else [budget_ms]
    room = max(0.5, (max(scores) - min(scores)) * 0.2)
    frame = Frame.around((0.0, max(times) * 1.08), (min(scores) - room, max(scores) + room), height=300.0)
    on_front = front_of(contenders)
    points = [(contenders[place].ms, contenders[place].miou) for place in on_front]
    body = frame.grid(x_name, "mIoU, %", num_y=7)
    body += path_of(frame, [*points, (frame.x.high, points[-1][1])], "frontier", is_stepped=True)
    if budget_ms is not None:
        line = Markup('<line class="budget" x1="{0}" x2="{0}" y1="{1}" y2="{2}"><title>budget: {3:g} ms</title></line>')
        body += line.format(frame.x.place(budget_ms), frame.y.start, frame.y.end, budget_ms)
    numbers: list[tuple[float, float]] = []
    # Those of the front last, so that none is hidden.
    for place in sorted(range(len(contenders)), key=on_front.__contains__):
        one = contenders[place]
        x, y = frame.x.place(one.ms), frame.y.place(one.miou)
        kind = "first" if place in on_front else "second"
        dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="5"><title>{}: {:.2f} ms, {:.2f} %</title></circle>')
        body += dot.format(kind, x, y, one.name, one.ms, one.miou)
        if is_front_numbered and place not in on_front:
            continue
        at = _beside(x, y - 9, numbers)
        number = on_front.index(place) + 1 if is_front_numbered else place + 1
        body += Markup('<text class="number" x="{}" y="{:.1f}" text-anchor="middle">{}</text>').format(*at, number)
        numbers.append(at)
    told = ", ".join(f"{one.name} {one.ms:.1f} ms {one.miou:.1f} %" for one in contenders)
    return svg(frame.width, frame.height, f"mIoU against median latency: {told}", body, "front")


def _beside(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The place of a number, moved up until it lies on no other."""
    while any(abs(x - other_x) < NEAR and abs(y - other_y) < NEAR for other_x, other_y in taken):
        y -= NEAR
    return x, y
