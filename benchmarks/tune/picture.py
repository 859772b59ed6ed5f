"""`tune.png`: a bar for each setting's median, run by run, and a mark for what it costs the cores."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.ink import ACCENT, INK, PALE, tidy
from benchmarks.tune.document import TuneDocument, TuneRow
from runtime.files import replacing

__all__ = ["draw_tune"]

ROW_INCHES, MARGIN_INCHES = 0.36, 1.7
RUN_GAP = 0.7
"""Between two runs, in rows: figures of different runs are no comparison."""


def draw_tune(document: TuneDocument, path: Path) -> None:
    """Draw what has a score, in the order of the page's tables.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    placed = list(_placed(document))
    height = placed[-1][0] + 1 if placed else 1.0
    figure = Figure(figsize=(10, MARGIN_INCHES + ROW_INCHES * height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    tidy(axes)
    axes.grid(axis="y", visible=False)
    widest = max((max(row.median_ms or 0.0, row.cpu_ms or 0.0) for _, row in placed), default=1.0)
    for place, row in placed:
        median, cpu = row.median_ms or 0.0, row.cpu_ms or 0.0
        is_best = row.setting == document.best
        axes.barh(place, median, height=0.62, color=ACCENT if is_best else PALE)
        axes.plot([cpu] * 2, [place - 0.31, place + 0.31], color=INK, linewidth=2, solid_capstyle="butt")
        told = f"{median:.1f} ms" + (f", {row.verdict}" if row.verdict else "")
        axes.text(max(median, cpu) + widest / 90, place, told, va="center", fontsize=9, color=INK)
    axes.set_yticks([place for place, _ in placed], [row.setting for _, row in placed])
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.3)
    axes.set_xlabel(
        "median milliseconds from a decoded frame to its label map; blue: the best\n"
        "black mark: CPU milliseconds of all cores a frame, the rest after it included; a gap parts runs",
        fontsize=9,
        color=INK,
        loc="left",
    )
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _placed(document: TuneDocument) -> Iterator[tuple[float, TuneRow]]:
    place = 0.0
    for run in (document.last, document.options, document.pairs):
        scored = [row for row in run if row.median_ms is not None]
        for row in scored:
            yield place, row
            place += 1
        place += RUN_GAP if scored else 0
