"""`loop`: what the runtime adds to its engine in time and memory, and how long it takes to be ready."""

from typing import Any

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import read_frames
from benchmarks.environment import describe_environment
from benchmarks.loop.document import LoopDocument
from benchmarks.loop.memory import measure_memory
from benchmarks.loop.opened import open_segmenter, threads_of, what_is_served
from benchmarks.loop.overhead import measure_overhead
from benchmarks.loop.start import measure_start
from benchmarks.tables import number, text_table
from runtime.command import say
from runtime.files import writable_folder, write_json

__all__ = ["measure_loop"]


def measure_loop(config: BenchmarksConfig) -> dict[str, Any]:
    """Measure and write `loop.json`.

    Returns:
        Key figures: `overhead_share`, `overhead_ms`, memory's slopes in bytes a frame, `ready_ms`.
    """
    options = config.loop
    path = writable_folder(config.output) / "loop.json"
    environment = describe_environment(threads_of(options.backend))
    with open_segmenter(config) as segmenter:
        _, frames = read_frames(config.frames, segmenter.manifest)
        overhead = measure_overhead(segmenter, frames, options)
        memory = measure_memory(segmenter, frames, options) if options.memory_frames else None
        artefact, engine = what_is_served(segmenter)
    document = LoopDocument(
        **how_measured(config, environment),
        artefact=artefact,
        engine=engine,
        overhead=overhead,
        memory=memory,
        start=measure_start(config.bundle, frames, options),
    )
    write_json(path, document.model_dump(mode="json"))
    say(_summary(document))
    figures: dict[str, Any] = {
        "loop": str(path),
        "artefact": artefact,
        "engine_ms_p50": round(overhead.engine_ms["p50"] or 0.0, 3),
        "overhead_ms": round(overhead.overhead_ms, 3),
        "overhead_share": round(overhead.overhead_share, 4),
        "ready_ms": round(document.start.ready_ms, 1),
    }
    if memory is not None:
        figures |= {
            "traced_bytes_a_frame": round(memory.traced_slope_bytes, 3),
            "resident_bytes_a_frame": round(memory.resident_slope_bytes, 3),
        }
    return figures


def _summary(document: LoopDocument) -> str:
    overhead, memory, start = document.overhead, document.memory, document.start
    rows = [
        [f"{name} (the camera's)" if name == "read" else name, *(number(stage[p], 3) for p in ("p50", "p90", "p99"))]
        for name, stage in overhead.stages_ms.items()
    ]
    rows += [
        ["frame in memory -> labels in a sink", *(number(overhead.loop_ms[p], 3) for p in ("p50", "p90", "p99"))],
        ["the engine alone", *(number(overhead.engine_ms[p], 3) for p in ("p50", "p90", "p99"))],
    ]
    lines = [
        f"{document.artefact} in {document.engine}, frames of {overhead.frame_hw}, one every "
        f"{overhead.period_ms:.1f} ms",
        text_table(["ms", "p50", "p90", "p99"], rows),
        f"overhead {overhead.overhead_ms:.3f} ms, {overhead.overhead_share:.1%} of the engine",
        f"ready after {start.ready_ms:.0f} ms: "
        + ", ".join(f"{name} {value:.0f}" for name, value in start.stages_ms.items()),
    ]
    if memory is not None:
        lines.append(
            f"memory over {memory.num_frames} frames: Python {memory.traced_slope_bytes:+.2f} bytes a frame, "
            f"process {memory.resident_first_bytes / 1e6:.1f} -> {memory.resident_last_bytes / 1e6:.1f} MB"
        )
    return "\n".join(lines)
