"""The sensitivity table as curves: a small panel per weight."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from benchmarks.ink import ACCENT, INK, PALE, RULE, SEED_OFFSET, tidy
from benchmarks.methods.figures.summary import RowFigures
from benchmarks.methods.page.block_tables import NAMES, digits_of

__all__ = ["draw_curves"]


def draw_curves(part: SubFigure, rows: Sequence[RowFigures], measure: str) -> None:
    """A small panel per weight, all on one scale; the configured value is the same cells in each."""
    weights = list(dict.fromkeys(row.setting[0] for row in rows if row.setting))
    panels = part.subplots(1, len(weights), sharey=True, squeeze=False)[0]
    for axes, weight in zip(panels, weights, strict=True):
        points = [row for row in rows if row.setting and row.setting[0] == weight]
        # Equal steps: the values of a weight are few, and those of one panel are no denser than another's.
        means = [row.summary[measure].mean for row in points]
        axes.plot([i for i, m in enumerate(means) if m is not None], [m for m in means if m is not None], color=RULE)
        for place, row in enumerate(points):
            _draw_point(axes, row, measure, place)
        axes.set_xticks(range(len(points)), [f"{row.setting[1]:g}" for row in points if row.setting])
        axes.set_xlim(-0.6, len(points) - 0.4)
        axes.set_xlabel(f"weight of {weight.replace('_', '-')}", fontsize=10, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.margins(y=0.15)
        tidy(axes)
    panels[0].set_ylabel(NAMES[measure], fontsize=10, color=INK)


def _draw_point(axes: Axes, row: RowFigures, measure: str, place: int) -> None:
    summary, values = row.summary[measure], list(row.values[measure].values())
    if summary.mean is None:
        return
    colour = ACCENT if row.is_configured else INK
    axes.errorbar(place, summary.mean, yerr=summary.spread, fmt="o", color=colour, markersize=7, linewidth=2)
    axes.plot([place + SEED_OFFSET] * len(values), values, "o", color=PALE, markersize=4)
    highest = max([summary.mean + (summary.spread or 0.0), *values])
    axes.annotate(
        f"{summary.mean:.{digits_of(measure)}f}",
        (place, highest),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=colour,
    )
