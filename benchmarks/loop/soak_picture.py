"""The picture of a soak: ages and memory over its minutes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.loop.document import SoakDocument
from runtime.files import replacing

__all__ = ["draw_soak"]

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, VERMILION, GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"


def draw_soak(document: SoakDocument, path: Path) -> None:
    """Write a PNG: age p50, p99 and maximum of each minute against the deadline, and resident memory below."""
    minutes = np.arange(1, len(document.minutes) + 1)
    figure = Figure(figsize=(9, 5), layout="constrained")
    ages, memory = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for name, label, colour in (
        ("age_max_ms", "maximum", VERMILION),
        ("age_p99_ms", "p99", ORANGE),
        ("age_p50_ms", "p50", BLUE),
    ):
        values = [getattr(minute, name) for minute in document.minutes]
        ages.plot(minutes, [np.nan if value is None else value for value in values], "o-", color=colour, label=label)
    ages.axhline(document.deadline_ms, color="0.4", linestyle="--", label="deadline")
    ages.set(ylabel="age in the sink, ms", ylim=(0, None))
    ages.legend(ncols=4, frameon=False, loc="upper left", bbox_to_anchor=(0, 1.16))
    resident_mb = [minute.resident_bytes / 1e6 for minute in document.minutes]
    memory.plot(minutes, resident_mb, "o-", color=GREEN)
    memory.set(ylabel="resident, MB", xlabel="minute", ylim=(0, 1.2 * max(resident_mb)))
    for axes in (ages, memory):
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
