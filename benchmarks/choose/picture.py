"""`choose.png`: mIoU against milliseconds, the front as a stair, the recommendation and the budget marked."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.choose.document import Candidate, ChooseDocument
from benchmarks.ink import ACCENT, INK, PALE, SOURCE, tidy
from runtime.files import replacing

__all__ = ["draw_choose"]

LINE_INCHES = 0.24


def draw_choose(document: ChooseDocument, path: Path) -> None:
    """Draw all candidates; those of the front carry numbers, and their names stand under the picture.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    front = document.front
    names_inches = LINE_INCHES * (len(front) + 1)
    figure = Figure(figsize=(10, 6 + names_inches), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes, names = figure.subplots(2, 1, height_ratios=(6, names_inches))
    tidy(axes)
    beaten = [found for found in document.candidates if not found.is_on_front]
    axes.scatter([found.ms for found in beaten], [found.miou for found in beaten], s=36, color=PALE, label="beaten")
    axes.step([found.ms for found in front], [found.miou for found in front], where="post", color=ACCENT, linewidth=1.5)
    axes.scatter([found.ms for found in front], [found.miou for found in front], s=64, color=ACCENT, label="front")
    for number, found in enumerate(front, start=1):
        axes.annotate(str(number), (found.ms, found.miou), (-7, 6), textcoords="offset points", ha="right", color=INK)
    _write_names(names, front, document.percentile)
    if document.recommended is not None:
        chosen = document.candidates[document.recommended]
        axes.scatter([chosen.ms], [chosen.miou], s=220, facecolors="none", edgecolors=SOURCE, linewidths=2)
    if document.budget_ms is not None:
        axes.axvline(document.budget_ms, color=SOURCE, linestyle="--", linewidth=1.2, label="budget")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(which="minor", labelsize=8, length=0)
    axes.set_xlabel(f"milliseconds from a decoded frame to its labels ({document.percentile}, logarithmic)", color=INK)
    axes.set_ylabel("mIoU in percent", color=INK)
    axes.margins(x=0.15, y=0.15)
    axes.legend(frameon=False, loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _write_names(axes: Axes, front: Sequence[Candidate], percentile: str) -> None:
    """A line for each point of the front, in columns."""
    axes.set_axis_off()
    columns = ((0.0, "left"), (0.03, "left"), (0.8, "right"), (0.9, "right"))
    rows = [("", "on the front", f"{percentile} ms", "mIoU, %")]
    for number, found in enumerate(front, start=1):
        name = f"{found.bundle.parent.name}: {found.artefact} in {found.engine}"
        rows.append((str(number), name, f"{found.ms:.1f}", f"{found.miou:.2f}"))
    for line, row in enumerate(rows):
        for (x, side), text in zip(columns, row, strict=True):
            place = (x, 1 - line / len(rows))
            axes.annotate(text, place, xycoords="axes fraction", ha=side, va="top", fontsize=9, color=INK)
