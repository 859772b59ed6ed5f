"""`methods.png`: tables as rows of dots, the sensitivity as curves; every seed, their mean and their spread."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.ink import ACCENT, INK, ORACLE, PALE, SEED_OFFSET, SOURCE, tidy
from benchmarks.methods.figures.blocks import Block, StudyFigures
from benchmarks.methods.figures.summary import RowFigures
from benchmarks.methods.page.block_tables import NAMES, digits_of, told
from benchmarks.methods.page.curves import draw_curves
from benchmarks.methods.rows.tables import Table
from runtime.files import replacing

__all__ = ["write_picture"]

WIDTH_INCHES, DPI = 12.0, 100
ROW_INCHES, CURVES_INCHES, HEADING_INCHES = 0.33, 3.3, 1.35
BLOCK_GAP = 1.0
"""Between blocks, in rows."""
HEADING_ABOVE = 0.85
"""Of a block's heading over its first row, in rows."""
KEY = (
    "large dot: mean over seeds, bar: \N{PLUS-MINUS SIGN} their standard deviation, small dots: the seeds; diamond: no "
    "gradient step\nblue: as configured; brown: learns from labelled source frames too; *: a seed failed"
)


def write_picture(path: Path, figures: Sequence[StudyFigures]) -> None:
    """Draw all tables of all data sets below each other, 1200 pixels wide.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    parts = [(one, table, _blocks(one, table)) for one in figures for table in one.study.tables]
    heights = [_height(blocks) for _, _, blocks in parts]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subfigures(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (one, table, blocks) in zip(panels, parts, strict=True):
        title = f"{one.study.comparison.name}: {table.heading}"
        panel.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
        if _is_curve(blocks):
            draw_curves(panel, blocks[0].rows, one.measures[0])
        else:
            _draw_dots(panel.subplots(), one, blocks)
    panels[-1].supxlabel(KEY, x=0.01, ha="left", fontsize=9, color=PALE)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _blocks(figures: StudyFigures, table: Table) -> list[Block]:
    return [block for block in figures.blocks if block.table is table]


def _height(blocks: Sequence[Block]) -> float:
    num_rows = sum(len(_drawn(block)) for block in blocks) + BLOCK_GAP * (len(blocks) - 1)
    return CURVES_INCHES if _is_curve(blocks) else HEADING_INCHES + ROW_INCHES * num_rows


def _is_curve(blocks: Sequence[Block]) -> bool:
    return all(row.setting is not None for block in blocks for row in block.rows)


def _drawn(block: Block) -> list[RowFigures]:
    """The oracle is a line across all rows, not one of them."""
    return [row for row in block.rows if not row.is_oracle]


def _draw_dots(axes: Axes, figures: StudyFigures, blocks: Sequence[Block]) -> None:
    """A row of dots per table row, its figures at the right edge, a line through the oracle's mean."""
    measure, places, titles, first = figures.measures[0], list[float](), list[str](), 0.0
    for block in blocks:
        _draw_heading(axes, block, first - HEADING_ABOVE)
        for place, row in enumerate(_drawn(block)):
            _draw_row(axes, row, measure, first + place)
            places.append(first + place)
            titles.append(row.title)
        first += len(_drawn(block)) + BLOCK_GAP
    # Room at the top for a heading and the oracle's name.
    axes.set_ylim(places[-1] + 0.7, -1.1)
    axes.set_yticks(places, titles, fontsize=10)
    configured = next((row for block in blocks for row in block.rows if row.is_configured), None)
    if configured is not None and (mean := configured.summary[measure].mean) is not None:
        axes.axvline(mean, color=ACCENT, linewidth=1, alpha=0.35, zorder=0)
    if figures.oracle is not None and blocks[0].table.has_baselines:
        _draw_oracle(axes, figures.oracle, measure)
    axes.set_xlabel(NAMES[measure], fontsize=10, color=INK)
    tidy(axes)


def _draw_heading(axes: Axes, block: Block, place: float) -> None:
    colour = SOURCE if any(row.needs_source for row in block.rows) else INK
    axes.annotate(
        block.heading, (0.005, place), xycoords=("axes fraction", "data"), va="center", fontsize=10, color=colour
    )


def _draw_oracle(axes: Axes, oracle: RowFigures, measure: str) -> None:
    summary = oracle.summary[measure]
    if summary.mean is None:
        return
    axes.axvline(summary.mean, color=ORACLE, linewidth=1.5, linestyle=(0, (4, 2)), zorder=0)
    spread = summary.spread or 0.0
    axes.axvspan(summary.mean - spread, summary.mean + spread, color=ORACLE, alpha=0.1, linewidth=0, zorder=0)
    text = f"oracle {told(summary, measure)}".replace("+-", "\N{PLUS-MINUS SIGN}")
    # Left of its line: the figures of the rows stand to the right of all.
    axes.annotate(
        text,
        (summary.mean, -HEADING_ABOVE),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=10,
        color=ORACLE,
    )


def _draw_row(axes: Axes, row: RowFigures, measure: str, place: float) -> None:
    colour = ACCENT if row.is_configured else SOURCE if row.needs_source else INK
    axes.annotate(
        _label(row, measure),
        (1.01, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=10,
        color=PALE if row.summary[measure].mean is None else colour,
    )
    summary, values = row.summary[measure], list(row.values[measure].values())
    if summary.mean is None:
        return
    if row.is_baseline:
        axes.plot(summary.mean, place, "D", markerfacecolor="white", markeredgecolor=colour, markersize=6)
        return
    axes.errorbar(summary.mean, place, xerr=summary.spread, fmt="o", color=colour, markersize=8, linewidth=2)
    axes.plot(values, [place + SEED_OFFSET] * len(values), "o", color=PALE, markersize=4.5)


def _label(row: RowFigures, measure: str) -> str:
    summary, digits = row.summary[measure], digits_of(measure)
    if summary.mean is None:
        return "failed" if row.failed else "not run yet"
    spread = "" if summary.spread is None else f" \N{PLUS-MINUS SIGN} {summary.spread:.{digits}f}"
    return f"{summary.mean:.{digits}f}{spread}{' *' if row.failed else ''}"
