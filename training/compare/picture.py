"""`compare.png`: a table as rows of dots, the sensitivity as curves; one dot per seed, its mean and its spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from runtime.files import replacing
from training.compare.markdown import NAMES
from training.compare.summary import RowFigures
from training.compare.tables import Table

__all__ = ["write_picture"]

WIDTH_INCHES, DPI = 12.0, 100
ROW_INCHES, CURVES_INCHES, HEADING_INCHES = 0.34, 3.0, 1.2
INK, PALE, ACCENT, RULE = "#222222", "#9aa5b1", "#0b63a5", "#d5dade"


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
    parts = figure.subfigures(len(tables), 1, squeeze=False, height_ratios=heights)
    for part, table in zip(parts[:, 0], tables, strict=True):
        rows = figures[table.name]
        part.suptitle(table.heading, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
        if _is_curve(rows):
            _draw_curves(part, rows, measure)
        else:
            _draw_dots(part.subplots(), rows, measure)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _height(rows: Sequence[RowFigures]) -> float:
    return CURVES_INCHES if _is_curve(rows) else HEADING_INCHES + ROW_INCHES * len(rows)


def _is_curve(rows: Sequence[RowFigures]) -> bool:
    return all(row.setting is not None for row in rows)


def _draw_dots(axes: Axes, rows: Sequence[RowFigures], measure: str) -> None:
    reference = next((row.summary[measure].mean for row in rows if row.title == "all"), None)
    if reference is not None:
        axes.axvline(reference, color=RULE, linewidth=1.5, zorder=0)
    for place, row in enumerate(rows):
        summary, values = row.summary[measure], list(row.values[measure].values())
        if summary.mean is None:
            axes.annotate(
                "failed" if row.failed else "not run",
                (0.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
                color=PALE,
            )
            continue
        colour = ACCENT if row.title == "all" else INK
        axes.errorbar(summary.mean, place, xerr=summary.spread, fmt="o", color=colour, markersize=7, linewidth=2)
        axes.plot(values, [place] * len(values), "o", color=PALE, markersize=4, zorder=3, alpha=0.9)
        axes.annotate(
            _label(row, measure),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            color=colour,
        )
    axes.set_yticks(range(len(rows)), [row.title for row in rows], fontsize=10, color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(NAMES[measure], fontsize=10, color=INK)
    _tidy(axes)


def _draw_curves(part: SubFigure | Figure, rows: Sequence[RowFigures], measure: str) -> None:
    weights = list(dict.fromkeys(row.setting[0] for row in rows if row.setting))
    all_axes = part.subplots(1, len(weights), sharey=True, squeeze=False)[0]
    for axes, weight in zip(all_axes, weights, strict=True):
        points = [(row.setting[1], row) for row in rows if row.setting and row.setting[0] == weight]
        done = [(x, row) for x, row in points if row.summary[measure].mean is not None]
        means = [row.summary[measure].mean for _, row in done]
        spreads = [row.summary[measure].spread or 0.0 for _, row in done]
        axes.errorbar([x for x, _ in done], means, yerr=spreads, fmt="-o", color=INK, markersize=5, linewidth=1.5)
        axes.set_xticks([x for x, _ in points], [f"{x:g}" for x, _ in points], fontsize=10)
        axes.set_xlabel(f"weight {weight}", fontsize=10, color=INK)
        _tidy(axes)
    all_axes[0].set_ylabel(NAMES[measure], fontsize=10, color=INK)


def _label(row: RowFigures, measure: str) -> str:
    summary, digits = row.summary[measure], 1 if measure in ("miou", "num_classes") else 3
    spread = "" if summary.spread is None else f" \N{PLUS-MINUS SIGN} {summary.spread:.{digits}f}"
    return f"{summary.mean:.{digits}f}{spread}"


def _tidy(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.grid(axis="both", color=RULE, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
