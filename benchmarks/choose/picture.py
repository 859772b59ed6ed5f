"""`choose.png`: mIoU against milliseconds, the front as a stair, the recommendation and the budget marked."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.choose.document import ChooseDocument
from benchmarks.ink import ACCENT, INK, PALE, SOURCE, tidy
from runtime.files import replacing

__all__ = ["draw_choose"]


def draw_choose(document: ChooseDocument, path: Path) -> None:
    """Draw all candidates; only those of the front carry their names.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    figure = Figure(figsize=(10, 6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    tidy(axes)
    front = [found for found in document.candidates if found.is_on_front]
    beaten = [found for found in document.candidates if not found.is_on_front]
    axes.scatter([found.ms for found in beaten], [found.miou for found in beaten], s=36, color=PALE, label="beaten")
    axes.step([found.ms for found in front], [found.miou for found in front], where="post", color=ACCENT, linewidth=1.5)
    axes.scatter([found.ms for found in front], [found.miou for found in front], s=64, color=ACCENT, label="front")
    for found in front:
        name = f"{found.bundle.parent.name}\n{found.artefact}, {found.engine}"
        axes.annotate(
            name, (found.ms, found.miou), (7, -4), textcoords="offset points", fontsize=8, va="top", color=INK
        )
    if document.recommended is not None:
        chosen = document.candidates[document.recommended]
        axes.scatter([chosen.ms], [chosen.miou], s=220, facecolors="none", edgecolors=SOURCE, linewidths=2)
    if document.budget_ms is not None:
        axes.axvline(document.budget_ms, color=SOURCE, linestyle="--", linewidth=1.2, label="budget")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(which="minor", labelsize=8, length=0)
    axes.set_xlabel(f"milliseconds from a decoded frame to its labels ({document.percentile}, logarithmic)", color=INK)
    axes.set_ylabel("mIoU in percent", color=INK)
    axes.margins(x=0.15, y=0.15)
    axes.legend(frameon=False, loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary)
