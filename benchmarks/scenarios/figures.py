"""Key figures of a run, for programs."""

from typing import Any

from benchmarks.document import Ratio
from benchmarks.scenarios.document import Camera, ScenariosDocument, Times

__all__ = ["key_figures"]


def key_figures(document: ScenariosDocument) -> dict[str, Any]:
    """By scenario, of those that ran; None in place of percentiles that the samples are too few for."""
    figures: dict[str, Any] = {"artefact": document.artefact, "engine": document.engine}
    if (single := document.single_stream) is not None:
        figures["single_stream"] = {**_times(single.times), "frames_per_s": round(single.frames_per_s, 2)}
    if document.offline is not None:
        figures["offline_frames_per_s"] = {row.name: round(row.frames_per_s, 2) for row in document.offline.rows}
    for camera in document.cameras:
        figures[f"camera_{camera.rate_hz:g}"] = _camera(camera)
    if document.multi_camera:
        figures["multi_camera"] = [_camera(camera) for camera in document.multi_camera]
    if document.contention is not None:
        figures["contention_slowdown"] = _ratio(document.contention.slowdown)
    if document.cold_start is not None:
        figures["ready_ms"] = round(document.cold_start.ready_ms, 1)
    if document.resume is not None:
        figures["resume_slowdown"] = _ratio(document.resume.slowdown)
    return {**figures, "unmet": list(document.unmet)}


def _times(times: Times | None) -> dict[str, float | None]:
    if times is None:
        return {"p50": None, "p90": None, "p99": None, "max": None}
    found = {name: times.percentiles_ms[name] for name in ("p50", "p90", "p99")} | {"max": times.max_ms}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}


def _camera(camera: Camera) -> dict[str, Any]:
    return {
        "age_ms": _times(camera.times),
        "missed_share": round(camera.missed_share, 4),
        "published": camera.counters["num_published"],
        "dropped": camera.counters["num_dropped"],
        "lost": camera.counters["num_lost"],
    }


def _ratio(ratio: Ratio) -> list[float]:
    """Value, then both ends of its interval."""
    return [round(value, 3) for value in (ratio.value, ratio.low, ratio.high)]
