"""Results as pictures: a label map, and the frame under its class colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.files import writable_folder
from runtime.images import write_png
from runtime.labels import ClassInfo
from runtime.overlay import overlay
from runtime.result import Result, Status
from runtime.sinks.disk import writing_to

__all__ = ["PicturesSink", "write_labels", "write_overlay"]


class PicturesSink:
    """NAME_labels.png and NAME_overlay.png for each result; see `Sink`.

    Args:
        folder: created where needed.
        classes: the manifest's.
        opacity: share of the class colour in overlays, 0 to 1.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, classes: Sequence[ClassInfo], opacity: float) -> None:
        self._folder, self._classes, self._opacity = writable_folder(folder), classes, opacity

    def write(self, result: Result) -> None:
        """Write both pictures, each whole; see `Sink.write`."""
        name = result.captured.name
        write_labels(self._folder, name, result.labels)
        write_overlay(self._folder, name, overlay(result.frame, result.labels, self._classes, self._opacity))

    def tell(self, status: Status) -> None:
        """Nothing: health is no picture."""

    def close(self) -> None:
        """Nothing is open between two results."""


def write_labels(folder: Path, name: str, labels: NDArray[np.uint8]) -> None:
    """Write train ids (H, W) as grey.

    Raises:
        SinkError: the file cannot be written; `DiskFullError` where space is the reason.
    """
    with writing_to(folder):
        write_png(folder / f"{name}_labels.png", labels)


def write_overlay(folder: Path, name: str, picture: NDArray[np.uint8]) -> None:
    """Write an overlay (H, W, 3).

    Raises:
        SinkError: the file cannot be written; `DiskFullError` where space is the reason.
    """
    with writing_to(folder):
        write_png(folder / f"{name}_overlay.png", picture)
