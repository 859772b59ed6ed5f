"""Distributions of times: the share of queries that were answered within so many milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from benchmarks.report.charts.axes import Frame, svg
from benchmarks.report.charts.lines import path_of

__all__ = ["Times", "ecdf"]

SHOWN = 0.99
"""Of the slowest contender's samples; what is slower lies beyond the right edge, and the page says how many do."""
STEPS = 400
"""A curve of ten thousand queries looks the same."""


@dataclass(frozen=True, slots=True)
class Times:
    """Times of one contender in milliseconds, and the percentiles that they support, by name ("p99")."""

    name: str
    samples_ms: Sequence[float]
    percentiles_ms: Mapping[str, float]


def ecdf(contenders: Sequence[Times]) -> tuple[Markup, list[int]]:
    """A stepped curve of each contender, a dot on every percentile.

    Returns:
        The picture, and how many samples of each contender lie beyond its right edge.
    """
    edge = max(float(np.quantile(one.samples_ms, SHOWN)) for one in contenders)
    edge = max([edge, *(value for one in contenders for value in one.percentiles_ms.values())]) * 1.04
    frame = Frame.around((0.0, edge), (0.0, 100.0), height=280.0)
    body, beyond = frame.grid("milliseconds", "% of queries"), []
    for place, one in enumerate(contenders):
        series = ("first", "second", "third", "fourth")[place % 4]
        ordered = np.sort(np.asarray(one.samples_ms, dtype=float))
        shown = ordered[ordered <= edge]
        beyond.append(len(ordered) - len(shown))
        kept = np.unique(np.linspace(0, len(shown) - 1, num=min(STEPS, len(shown)), dtype=int))
        points = [(float(shown[index]), 100 * (int(index) + 1) / len(ordered)) for index in kept]
        body += path_of(frame, [(points[0][0], 0.0), *points], f"line {series}", is_stepped=True)
        for name, value in one.percentiles_ms.items():
            at = (frame.x.place(value), frame.y.place(float(name.removeprefix("p"))))
            dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="4"><title>{}, {}: {:.2f} ms</title></circle>')
            body += dot.format(series, *at, one.name, name, value)
    told = "; ".join(
        f"{one.name}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in one.percentiles_ms.items())
        for one in contenders
    )
    return svg(frame.width, frame.height, f"Share of queries answered within a time. {told}", body, "ecdf"), beyond
