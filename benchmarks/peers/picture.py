"""`peers.png`: a bar for each way's median, and a mark for the floor under it."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.ink import ACCENT, INK, PALE, tidy
from benchmarks.peers.document import PeersDocument
from runtime.files import replacing

__all__ = ["draw_peers"]

ROW_INCHES, MARGIN_INCHES = 0.42, 1.5


def draw_peers(document: PeersDocument, path: Path) -> None:
    """Draw the rows that have a score, fastest first.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    medians = {row.name: row.percentiles_ms.get("p50") for row in document.rows}
    rows = sorted((row for row in document.rows if medians[row.name]), key=lambda row: medians[row.name] or 0.0)
    figure = Figure(
        figsize=(10, MARGIN_INCHES + ROW_INCHES * len(rows)), dpi=110, facecolor="white", layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    tidy(axes)
    axes.grid(axis="y", visible=False)
    widest = max(medians[row.name] or 0.0 for row in rows)
    for place, row in enumerate(rows):
        median, ratio = medians[row.name] or 0.0, row.ours_is_faster
        axes.barh(place, median, height=0.62, color=ACCENT if row.is_ours else PALE)
        faster = "" if ratio is None or ratio.value == 1.0 else f", {ratio.value:.1f}x ours"
        end = max(median, 0.0 if row.floor is None else row.floor.ms)
        axes.text(end + widest / 90, place, f"{median:.0f} ms{faster}", va="center", fontsize=10, color=INK)
        if row.floor is not None:
            axes.plot([row.floor.ms] * 2, [place - 0.31, place + 0.31], color=INK, linewidth=2, solid_capstyle="butt")
    axes.set_yticks(range(len(rows)), [f"{row.name}  ({row.precision})" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.3)
    axes.set_xlabel(
        "median milliseconds from a decoded frame to its label map; blue: artefacts of the bundle\n"
        "black mark: the floor, by the largest rate of a matrix product here in the same precision",
        fontsize=9,
        color=INK,
        loc="left",
    )
    with replacing(path) as temporary:
        figure.savefig(temporary)
