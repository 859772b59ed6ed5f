"""`scenarios.png`: how old labels are, out of all frames that a camera took, and every frame of one stream."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.ink import ACCENT, INK, ORACLE, PALE, SOURCE, tidy
from benchmarks.scenarios.document import Camera, Contention, ScenariosDocument, SingleStream
from runtime.files import replacing

__all__ = ["draw_scenarios"]

PANEL_INCHES = 3.6
COLOURS = (ACCENT, SOURCE, ORACLE, INK, PALE)


def draw_scenarios(document: ScenariosDocument, path: Path) -> bool:
    """Draw the scenarios that have frames to show, one below the other; whether there is any.

    Drawn on a canvas of its own: nothing of matplotlib's global state is read or changed.
    """
    panels: list[Callable[[Axes], None]] = []
    if document.cameras:
        titled = [(f"{camera.rate_hz:g} Hz", camera) for camera in document.cameras]
        panels.append(lambda axes: _ages(axes, titled, "one camera"))
    if document.multi_camera:
        several = [
            (f"camera {place}, {camera.rate_hz:g} Hz", camera) for place, camera in enumerate(document.multi_camera)
        ]
        panels.append(lambda axes: _ages(axes, several, f"{len(several)} cameras at once"))
    if (single := document.single_stream) is not None:
        panels.append(lambda axes: _stream(axes, single))
    if (contention := document.contention) is not None:
        panels.append(lambda axes: _contention(axes, contention))
    if not panels:
        return False
    figure = Figure(figsize=(10, PANEL_INCHES * len(panels)), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, draw in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        tidy(axes)
        draw(axes)
    with replacing(path) as temporary:
        figure.savefig(temporary)
    return True


def _ages(axes: Axes, cameras: list[tuple[str, Camera]], what: str) -> None:
    """Stairs that end below 100 % where frames never became labels; a dashed line where the deadline is."""
    for place, (name, camera) in enumerate(cameras):
        colour = COLOURS[place % len(COLOURS)]
        ages_ms = np.sort(np.array(camera.times.samples_ns if camera.times is not None else ())) / 1e6
        shares = np.arange(1, len(ages_ms) + 1) / camera.num_frames * 100
        never = 100 * (1 - len(ages_ms) / camera.num_frames)
        label = f"{name}: {100 * camera.missed_share:.1f} % missed, {never:.1f} % without labels"
        # Cameras of one rate may lie on each other.
        style = "--" if camera.rate_hz in [before.rate_hz for _, before in cameras[:place]] else "-"
        axes.step(ages_ms, shares, where="post", color=colour, linewidth=1.8, linestyle=style, label=label)
        if len(ages_ms):
            axes.plot(ages_ms[-1], shares[-1], "o", color=colour, markersize=4)
    for deadline_ms in sorted({camera.deadline_ms for _, camera in cameras}):
        colour = next(
            COLOURS[place % len(COLOURS)]
            for place, (_, camera) in enumerate(cameras)
            if camera.deadline_ms == deadline_ms
        )
        axes.axvline(deadline_ms, color=colour, linestyle=":", linewidth=1.2)
    axes.set(xlim=(0, None), ylim=(0, 103))
    axes.set_ylabel("% of the frames taken", color=INK)
    axes.set_xlabel(f"age of labels in the sink, ms ({what}; dotted: deadline)", color=INK)
    axes.legend(loc="lower right", fontsize=9, facecolor="white", edgecolor="white", framealpha=0.9)


def _stream(axes: Axes, single: SingleStream) -> None:
    samples_ms = np.array(single.times.samples_ns) / 1e6
    axes.plot(np.arange(len(samples_ms)), samples_ms, ".", color=ACCENT, markersize=3)
    axes.axhline(float(np.median(samples_ms)), color=INK, linewidth=1, label="median")
    axes.set(ylim=(0, None))
    axes.set_ylabel("ms from frame to labels", color=INK)
    axes.set_xlabel("number of the frame (one stream)", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", fontsize=9, facecolor="white", edgecolor="white", framealpha=0.9)


def _contention(axes: Axes, contention: Contention) -> None:
    blocks = np.repeat(np.arange(contention.num_blocks), contention.block_queries)
    offsets = np.tile(np.linspace(-0.18, 0.18, contention.block_queries), contention.num_blocks)
    for name, times, colour, shift in (
        ("quiet", contention.quiet, ACCENT, -0.22),
        ("beside a second load", contention.loaded, SOURCE, 0.22),
    ):
        samples_ms = np.array(times.samples_ns) / 1e6
        axes.plot(blocks + shift + offsets, samples_ms, ".", color=colour, markersize=3, label=name)
    axes.set(ylim=(0, None))
    axes.set_ylabel("ms from frame to labels", color=INK)
    axes.set_xlabel("pair of blocks (contention)", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", fontsize=9, facecolor="white", edgecolor="white", framealpha=0.9)
