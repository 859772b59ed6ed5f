"""Similarity of every class to every other, as squares."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from numpy.typing import NDArray

from benchmarks.report.charts.axes import svg

__all__ = ["colours", "heat_map"]

CELL, SIDE = 20.0, 84.0
MAP = "cividis"
"""Rises in lightness, and looks alike to everybody, whatever colours their eyes tell apart."""


def colours() -> NDArray[np.uint8]:
    """(256, 3): the colours of 0..255."""
    table: NDArray[np.uint8] = (colormaps[MAP](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return table


def heat_map(values: NDArray[np.float64], names: Sequence[str], *, low: float, high: float, title: str) -> Markup:
    """A matrix (C, C) as coloured squares with names; NaN is left empty.

    Args:
        values: row by row.
        names: of rows and columns.
        low: value of the darkest colour.
        high: value of the brightest.
        title: for the description.
    """
    table, size = colours(), SIDE + CELL * len(names)
    parts = []
    for row, name in enumerate(names):
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
        parts.append(text.format(SIDE - 6, SIDE + CELL * row + 14, name))
        text = Markup('<text class="tick" transform="translate({} {}) rotate(-60)">{}</text>')
        parts.append(text.format(SIDE + CELL * row + 13, SIDE - 6, name))
        for column, other in enumerate(names):
            parts.append(_cell(values[row, column], row, column, f"{name} and {other}", table, low, high))
    description = f"{title}: cosine similarity of {len(names)} classes, {low:g} to {high:g}"
    return svg(size + 30, size + 2, description, Markup("").join(parts), "heat")


def _cell(value: float, row: int, column: int, pair: str, table: NDArray[np.uint8], low: float, high: float) -> Markup:
    x, y = SIDE + CELL * column, SIDE + CELL * row
    if np.isnan(value):
        empty = Markup(
            '<rect class="empty" x="{}" y="{}" width="{}" height="{}"><title>{}: not predicted</title></rect>'
        )
        return empty.format(x + 0.5, y + 0.5, CELL - 1, CELL - 1, pair)
    level = int(np.clip(round((value - low) / (high - low) * 255), 0, 255))
    colour = "#{:02x}{:02x}{:02x}".format(*table[level])
    cell = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}: {:.2f}</title></rect>')
    return cell.format(x + 0.5, y + 0.5, CELL - 1, CELL - 1, colour, pair, value)
