"""Results as numpy archives, for programs that look at them later."""

from dataclasses import astuple
from pathlib import Path

import numpy as np

from runtime.files import replacing, writable_folder
from runtime.result import Result, Status
from runtime.sinks.disk import writing_to

__all__ = ["NpzSink"]


class NpzSink:
    """NAME.npz for each result; see `Sink`. All arrays load without pickle.

    labels, confidence      (H, W) uint8
    frame_id, captured_ns, published_ns, deadline_ns
                            int64, of the monotonic clock of that machine since it was started
    stages_ns               (5,) int64: read, wait, infer, keep, check
    state, reasons          int64: 0 OK, 1 degraded, 2 fault; bits of `Reason`
    details                 (N,) text, a sentence for each reason
    bundle_id               text

    Args:
        folder: created where needed.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = writable_folder(folder)

    def write(self, result: Result) -> None:
        """Write the archive, whole; see `Sink.write`."""
        with writing_to(self._folder), replacing(self._folder / f"{result.captured.name}.npz") as path:
            np.savez_compressed(
                path,
                labels=result.labels,
                confidence=result.confidence,
                frame_id=np.int64(result.captured.frame_id),
                captured_ns=np.int64(result.captured.captured_ns),
                published_ns=np.int64(result.published_ns),
                deadline_ns=np.int64(result.deadline_ns),
                stages_ns=np.array(astuple(result.stages), dtype=np.int64),
                state=np.int64(result.health.state),
                reasons=np.int64(result.health.reasons),
                details=np.array(result.health.details, dtype=np.str_),
                bundle_id=np.str_(result.bundle_id),
            )

    def tell(self, status: Status) -> None:
        """Nothing: an archive belongs to a frame."""

    def close(self) -> None:
        """Nothing is open between two results."""
