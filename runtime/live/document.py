"""The status document: what the loop told, for the page and for programs."""

from collections.abc import Sequence
from typing import Any

from runtime.health.reasons import Health, Reason, state_of
from runtime.labels import ClassInfo
from runtime.live.pictures import CONFIDENCE_SCALE
from runtime.live.record import HISTORY_COLUMNS, NUM_HISTORY, STAGES, Told
from runtime.result import Captured
from runtime.units import MILLISECOND_NS

__all__ = ["picture_document", "status_document"]

SILENT_AFTER_MS = 1000
"""A loop that told nothing for so long has lost its voice; a heartbeat takes a tenth of it."""
STALE_GRACE_MS = 500
"""How far behind its deadline a picture may be on the way to a page before it counts as stale."""


def status_document(told: Told) -> dict[str, Any]:
    """Everything but the pictures; all times are ages in milliseconds at the moment of the answer.

    Returns:
        `result` is None before the first one, `told_ms` None before the loop told anything; `history` has one list a
        column, the oldest result first.
    """
    status = told.status
    return {
        "bundle_id": status.bundle_id if status else "",
        "health": None if status is None else _health_document(status.health),
        "told_ms": _ms(told.now_ns - told.told_ns) if status else None,
        "silent_after_ms": SILENT_AFTER_MS,
        "counters": {name: getattr(status.counters, name) for name in status.counters.__slots__} if status else {},
        "drop_ratio": round(status.drop_ratio, 4) if status else None,
        "result": _result_document(told) if len(told.history) else None,
        "history": _history_document(told),
    }


def picture_document(
    captured: Captured, now_ns: int, classes: Sequence[ClassInfo], shares: Sequence[float], opacity: float
) -> dict[str, Any]:
    """Which frame pictures show, how old it is, and what its colours mean."""
    return {
        "frame_id": captured.frame_id,
        "name": captured.name,
        "age_ms": _ms(now_ns - captured.captured_ns),
        "opacity": opacity,
        "confidence_scale": CONFIDENCE_SCALE,
        "classes": [
            {"name": entry.name, "colour": entry.colour, "share": round(share, 5)}
            for entry, share in zip(classes, shares, strict=True)
        ],
    }


def _health_document(health: Health) -> dict[str, Any]:
    # Iterating over a flag gives its bits in order, which is that of the details.
    return {
        "state": health.state.name,
        "reasons": [
            {"name": reason.name, "state": state_of(reason).name, "detail": detail}
            for reason, detail in zip(Reason(health.reasons), health.details, strict=True)
        ],
    }


def _result_document(told: Told) -> dict[str, Any]:
    newest = dict(zip(HISTORY_COLUMNS, told.history[-1].tolist(), strict=True))
    stages_ms = {stage: _ms(newest[f"{stage}_ns"]) for stage in STAGES}
    published_age_ns = sum(newest[f"{stage}_ns"] for stage in STAGES)
    age_ns = told.now_ns - newest["published_ns"] + published_age_ns
    return {
        "frame_id": newest["frame_id"],
        "age_ms": _ms(age_ns),
        "age_at_publish_ms": _ms(published_age_ns),
        "is_fresh": 0 <= age_ns <= told.deadline_ns,
        "deadline_ms": _ms(told.deadline_ns),
        "stale_after_ms": _ms(told.deadline_ns) + STALE_GRACE_MS,
        "stages_ms": stages_ms,
    }


def _history_document(told: Told) -> dict[str, Any]:
    columns = dict(zip(HISTORY_COLUMNS, told.history.T, strict=True))
    since_ms = (told.now_ns - columns["published_ns"]) / MILLISECOND_NS
    return {
        "num_at_most": NUM_HISTORY,
        "frame_id": columns["frame_id"].tolist(),
        "published_ms_ago": since_ms.round(1).tolist(),
        **{f"{stage}_ms": (columns[f"{stage}_ns"] / MILLISECOND_NS).round(3).tolist() for stage in STAGES},
    }


def _ms(duration_ns: int) -> float:
    return round(duration_ns / MILLISECOND_NS, 3)
