"""`methods.png`: tables as rows of dots, the sensitivity as curves; every seed, their mean and their spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from benchmarks.methods.markdown import NAMES, digits_of
from benchmarks.methods.summary import RowFigures
from benchmarks.methods.tables import ALL, Table
from runtime.files import replacing

__all__ = ["write_picture"]

WIDTH_INCHES, DPI = 12.0, 100
ROW_INCHES, CURVES_INCHES, HEADING_INCHES = 0.33, 3.3, 1.25
SEED_OFFSET = 0.24
"""Of the seeds' dots from their mean's, in rows or steps: on the bar they would hide it and each other."""
INK, PALE, ACCENT, RULE = "#222222", "#8fa3b3", "#0b63a5", "#d5dade"
KEY = (
    "large dot: mean, bar: \N{PLUS-MINUS SIGN} standard deviation over seeds, small dots: seeds; "
    "diamond: no gradient step; blue: as configured; *: a seed failed"
)


def write_picture(
    path: Path, tables: Sequence[Table], figures: Mapping[str, Sequence[RowFigures]], measure: str
) -> None:
    """Draw all tables below each other, 1200 pixels wide.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.

    Args:
        path: the PNG to write.
        tables: their headings, in order.
        figures: rows by table name.
        measure: what is drawn.
    """
    heights = [_height(figures[table.name]) for table in tables]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, table in zip(parts, tables, strict=True):
        rows = figures[table.name]
        part.suptitle(table.heading, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
        if _is_curve(rows):
            _draw_curves(part, rows, measure)
        else:
            _draw_dots(part.subplots(), rows, measure)
    parts[-1].supxlabel(KEY, x=0.01, ha="left", fontsize=9, color=PALE)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _height(rows: Sequence[RowFigures]) -> float:
    return CURVES_INCHES if _is_curve(rows) else HEADING_INCHES + ROW_INCHES * len(rows)


def _is_curve(rows: Sequence[RowFigures]) -> bool:
    return all(row.setting is not None for row in rows)


def _draw_dots(axes: Axes, rows: Sequence[RowFigures], measure: str) -> None:
    """A row of dots per table row, its figures at the right edge, a line through the configured method's mean."""
    reference = next((row.summary[measure].mean for row in rows if row.title == ALL.title), None)
    if reference is not None:
        axes.axvline(reference, color=ACCENT, linewidth=1, alpha=0.35, zorder=0)
    for place, row in enumerate(rows):
        colour = ACCENT if row.title == ALL.title else INK
        axes.annotate(
            _label(row, measure),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            color=PALE if row.summary[measure].mean is None else colour,
        )
        _draw_row(axes, row, measure, place, colour)
    axes.set_yticks(range(len(rows)), [row.title for row in rows], fontsize=10)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(NAMES[measure], fontsize=10, color=INK)
    _tidy(axes)


def _draw_row(axes: Axes, row: RowFigures, measure: str, place: int, colour: str) -> None:
    summary, values = row.summary[measure], list(row.values[measure].values())
    if summary.mean is None:
        return
    if row.is_baseline:
        axes.plot(summary.mean, place, "D", markerfacecolor="white", markeredgecolor=colour, markersize=6)
        return
    axes.errorbar(summary.mean, place, xerr=summary.spread, fmt="o", color=colour, markersize=8, linewidth=2)
    axes.plot(values, [place + SEED_OFFSET] * len(values), "o", color=PALE, markersize=4.5)


def _draw_curves(part: SubFigure, rows: Sequence[RowFigures], measure: str) -> None:
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
        _tidy(axes)
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


def _label(row: RowFigures, measure: str) -> str:
    summary, digits = row.summary[measure], digits_of(measure)
    if summary.mean is None:
        return "failed" if row.failed else "not run yet"
    spread = "" if summary.spread is None else f" \N{PLUS-MINUS SIGN} {summary.spread:.{digits}f}"
    return f"{summary.mean:.{digits}f}{spread}{' *' if row.failed else ''}"


def _tidy(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
