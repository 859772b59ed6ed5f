"""Where the time of a frame goes in the runtime's loop, and that of its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.loop.document import LoopDocument
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.tables import number

__all__ = ["SECTION", "read_loop"]

DOCUMENT_NAME, COMMAND = "loop.json", "make loop"
CAMERA = "read"
"""A stage that is the camera's: it counts for nothing."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A stage that takes `ms`, from `left` to `left + width`, both in percent of the whole."""

    name: str
    ms: float
    left: float
    width: float
    p90: str = ""
    p99: str = ""


def read_loop(run: Run) -> LoopDocument:
    """What `loop` measured.

    Raises:
        NotThereError: it did not run yet.
        DataError: its document is damaged.
    """
    document: LoopDocument = run.document(run.config.output / DOCUMENT_NAME, LoopDocument, COMMAND)
    return document


def build(run: Run) -> Content:
    """Waterfalls of a frame and of the start."""
    found = read_loop(run)
    stages = {
        name: told["p50"]
        for name, told in found.overhead.stages_ms.items()
        if name != CAMERA and told.get("p50") is not None
    }
    values = {
        "found": found,
        "frame_bars": _waterfall(stages, found.overhead.stages_ms),
        "start_bars": _waterfall(found.start.stages_ms, {}),
        "camera_ms": number(found.overhead.stages_ms.get(CAMERA, {}).get("p50"), 2),
    }
    return Content(values, (run.config.output / DOCUMENT_NAME,), run.stale(found.manifest_sha256, COMMAND))


def _waterfall(stages: Mapping[str, float | None], percentiles: Mapping[str, Mapping[str, float | None]]) -> list[_Bar]:
    """Every stage begins where the one before it ends."""
    total = sum(value or 0.0 for value in stages.values()) or 1.0
    bars, reached = [], 0.0
    for name, value in stages.items():
        told = percentiles.get(name, {})
        ms = value or 0.0
        tail = {key: number(told.get(key), 2) for key in ("p90", "p99")}
        bars.append(_Bar(name, ms, 100 * reached / total, 100 * ms / total, **tail))
        reached += ms
    return bars


SECTION = Section("stages", "Where the time goes", COMMAND, build)
