"""A scene as the page needs it: the frame, label maps to lay over it, and what became right or wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report.images import labels_uri, photograph_uri
from benchmarks.report.scenes import Scene
from runtime.labels import IGNORE_INDEX, LabelSpace

__all__ = ["CHANGES", "Wipe", "changes_of", "wipe_of"]

SMALL_WIDTH = 360
CHANGES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("right before and after", (222, 226, 230)),
    ("became right", (0, 114, 178)),
    ("became wrong", (213, 94, 0)),
    ("wrong before and after", (120, 126, 133)),
)
"""What happened to a pixel, in colours that eyes of every kind tell apart."""


@dataclass(frozen=True, slots=True)
class Wipe:
    """Data URIs, and the sides of the frame in pixels; `small` is the frame once more, for a strip of thumbnails."""

    frame: str
    small: str
    before: str
    after: str
    truth: str | None
    changes: str | None
    width: int
    height: int


def wipe_of(scene: Scene, space: LabelSpace) -> Wipe:
    """Encode a scene."""
    height, width = scene.image.shape[:2]
    truth = scene.truth
    return Wipe(
        frame=photograph_uri(scene.image),
        small=photograph_uri(scene.image, max_width=SMALL_WIDTH),
        before=labels_uri(scene.before, space.palette),
        after=labels_uri(scene.after, space.palette),
        truth=None if truth is None else labels_uri(truth, space.palette),
        changes=None if truth is None else labels_uri(changes_of(scene, truth), [colour for _, colour in CHANGES]),
        width=width,
        height=height,
    )


def changes_of(scene: Scene, truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) places in `CHANGES`; `IGNORE_INDEX` where the truth names no class."""
    was_right, is_right = scene.before == truth, scene.after == truth
    found = np.select([was_right & is_right, is_right, was_right], [0, 1, 2], default=3).astype(np.uint8)
    found[truth == IGNORE_INDEX] = IGNORE_INDEX
    return found
