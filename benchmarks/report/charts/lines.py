"""Curves over steps: each value faint, and their running mean."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from benchmarks.report.charts.axes import Frame, svg

__all__ = ["curve", "path_of"]


def curve(
    points: Sequence[tuple[float, float]], *, name: str, x_name: str = "step", y_name: str = "", window: int = 1
) -> Markup:
    """One quantity over steps.

    Args:
        points: (x, y), by rising x; at least one.
        name: for the description.
        x_name: what x counts.
        y_name: unit of y.
        window: values that the bold line is the mean of, itself the last; 1 draws the values alone.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(0.0, *ys), max(*ys, 0.0) or 1.0
    frame = Frame.around((xs[0], max(xs[-1], xs[0] + 1)), (low, high * 1.05), height=200.0)
    body = frame.grid(x_name, y_name, num_y=6)
    if window > 1:
        body += path_of(frame, points, "faint")
        points = [(x, sum(ys[max(0, at - window + 1) : at + 1]) / min(at + 1, window)) for at, x in enumerate(xs)]
    body += path_of(frame, points, "line first")
    description = f"{name}: {ys[0]:.3g} at {x_name} {xs[0]:g}, {ys[-1]:.3g} at {x_name} {xs[-1]:g}"
    return svg(frame.width, frame.height, description, body, "curve")


def path_of(frame: Frame, points: Sequence[tuple[float, float]], kind: str, *, is_stepped: bool = False) -> Markup:
    """Points joined by straight lines, or by steps that rise at each point."""
    places = [(frame.x.place(x), frame.y.place(y)) for x, y in points]
    if not places:
        return Markup("")
    text = f"M{places[0][0]:g} {places[0][1]:g}"
    for _, (x, y) in pairwise(places):
        text += f"H{x:g}V{y:g}" if is_stepped else f"L{x:g} {y:g}"
    return Markup('<path class="{}" d="{}"/>').format(kind, text)
