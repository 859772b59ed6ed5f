"""Results as lines of JSON, for programs that follow a log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from runtime.files import writable_file
from runtime.health.reasons import Health
from runtime.labels import ClassInfo
from runtime.result import Result, Status
from runtime.sinks.disk import writing_to
from runtime.sinks.rotating import RotatingFile

__all__ = ["JsonLinesSink"]


class JsonLinesSink:
    """A line for each result and each change of the reasons of health; see `Sink`.

    Args:
        path: its folder is created where needed.
        max_bytes: at which the file is kept as PATH.1 and a new one begun.
        classes: the manifest's.

    Raises:
        ConfigError: the folder cannot be written, or the path is a folder.
        SinkError: the file cannot be opened, or another process writes it.
    """

    def __init__(self, path: Path, max_bytes: int, classes: Sequence[ClassInfo]) -> None:
        self._folder = writable_file(path).parent
        self._names = [entry.name for entry in classes]
        self._told: Health | None = None
        with writing_to(path):
            self._file = RotatingFile(path, max_bytes)

    def write(self, result: Result) -> None:
        """Write the result's line; see `Sink.write`."""
        self._append(
            result.status,
            {
                "kind": "result",
                "name": result.captured.name,
                "frame_id": result.captured.frame_id,
                "captured_ns": result.captured.captured_ns,
                "published_ns": result.published_ns,
                "age_ns": result.age_ns(result.published_ns),
                "deadline_ns": result.deadline_ns,
                "is_fresh": result.is_fresh(result.published_ns),
                "stages": asdict(result.stages),
                "class_share": self._shares(result),
                "mean_confidence": round(float(result.confidence.mean()) / 255, 4),
            },
        )

    def tell(self, status: Status) -> None:
        """Write a line where the reasons are others than in the last line; see `Sink.tell`."""
        if self._told is None or self._told.reasons != status.health.reasons:
            self._append(
                status,
                {
                    "kind": "health",
                    "now_ns": status.now_ns,
                    "last_frame_id": status.last_frame_id,
                    "last_captured_ns": status.last_captured_ns,
                },
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, status: Status, document: Mapping[str, Any]) -> None:
        time = datetime.now(UTC).isoformat()
        line = json.dumps({"time": time, **document, **_described(status)}, allow_nan=False)
        with writing_to(self._folder):
            self._file.append(line)
        self._told = status.health

    def _shares(self, result: Result) -> Mapping[str, float]:
        """Share of pixels of each class that occurs."""
        counts = np.bincount(result.labels.ravel(), minlength=len(self._names))
        return {
            name: round(int(count) / result.labels.size, 6)
            for name, count in zip(self._names, counts, strict=False)
            if count
        }


def _described(status: Status) -> Mapping[str, Any]:
    return {
        "health": status.health.state.name,
        "reasons": [reason.name for reason in status.health.reasons],
        "details": status.health.details,
        "counters": asdict(status.counters),
        "drop_ratio": round(status.drop_ratio, 4),
        "bundle_id": status.bundle_id,
    }
