"""The newest result as pictures, drawn when somebody asks and at most once a result."""

from dataclasses import dataclass
from io import BytesIO
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.bundle.manifest import Manifest
from runtime.live.buffers import Kept, NewestKept
from runtime.overlay import blend, colour_labels, palette_of
from runtime.result import Captured

__all__ = ["CONFIDENCE_SCALE", "Kind", "Picture", "Pictures"]

Kind = Literal["frame", "labels", "overlay", "confidence"]

CONFIDENCE_SCALE = (
    (254, 232, 56),
    (221, 200, 88),
    (187, 173, 109),
    (154, 147, 118),
    (125, 124, 120),
    (97, 101, 111),
    (67, 78, 108),
    (26, 56, 111),
    (0, 34, 78),
)
"""Colours from no confidence to certainty, evenly spaced: yellow stands out where the network doubts.

After cividis, whose brightness falls evenly and which looks the same to people who see no red or no green.
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, and the frame that it shows."""

    captured: Captured
    content_type: str
    content: bytes


class Pictures:
    """Draws what `NewestKept` holds; called from any thread, one at a time.

    Args:
        newest: where results are kept.
        manifest: names and colours of the classes.
        opacity: share of the class colour in the overlay.
        max_side: longest side of a picture, in pixels.

    Attributes:
        opacity: as given.
    """

    def __init__(self, newest: NewestKept, manifest: Manifest, opacity: float, max_side: int) -> None:
        self._newest, self._classes, self.opacity = newest, manifest.classes, opacity
        self._step = -(-max(manifest.frame_hw) // max_side)
        self._class_palette = palette_of(self._classes).tobytes()
        self._confidence_palette = _interpolated(CONFIDENCE_SCALE).tobytes()
        self._lock = Lock()
        self._drawn: dict[Kind, Picture] = {}
        self._shares: list[float] | None = None
        self._kept: Captured | None = None

    def picture(self, kind: Kind) -> Picture | None:
        """One picture of the newest result; None before the first."""
        with self._lock:
            kept = self._take()
            return None if kept is None else self._draw(kind, kept)

    def together(self) -> tuple[dict[Kind, Picture], list[float]] | None:
        """Frame, labels and confidence of one and the same result, and its class shares; None before the first."""
        with self._lock:
            kept = self._take()
            if kept is None:
                return None
            kinds: tuple[Kind, ...] = ("frame", "labels", "confidence")
            if self._shares is None:
                self._shares = (np.bincount(kept.labels.ravel(), minlength=256) / kept.labels.size).tolist()
            return {kind: self._draw(kind, kept) for kind in kinds}, self._shares[: len(self._classes)]

    def _take(self) -> Kept | None:
        kept = self._newest.take()
        if kept.captured is not self._kept:
            self._drawn, self._shares, self._kept = {}, None, kept.captured
        return None if kept.is_empty else kept

    def _draw(self, kind: Kind, kept: Kept) -> Picture:
        if kind not in self._drawn:
            self._drawn[kind] = Picture(kept.captured, *self._encoded(kind, kept))
        return self._drawn[kind]

    def _encoded(self, kind: Kind, kept: Kept) -> tuple[str, bytes]:
        match kind:
            case "frame":
                return _jpeg(self._reduced(kept.frame))
            case "labels":
                return _indexed_png(self._thinned(kept.labels), self._class_palette)
            case "overlay":
                return _jpeg(self._overlay(kept))
            case "confidence":
                return _indexed_png(self._reduced(kept.confidence), self._confidence_palette)

    def _overlay(self, kept: Kept) -> Image.Image:
        frame = np.asarray(self._reduced(kept.frame))
        colours = colour_labels(kept.labels[:: self._step, :: self._step], self._classes)
        return Image.fromarray(blend(frame, colours, self.opacity))

    def _reduced(self, pixels: NDArray[np.uint8]) -> Image.Image:
        """Means of squares of pixels."""
        image = Image.fromarray(pixels)
        return image.reduce(self._step) if self._step > 1 else image

    def _thinned(self, labels: NDArray[np.uint8]) -> Image.Image:
        """One label of each square, as classes have no mean; as large as what `_reduced` gives."""
        return Image.fromarray(np.ascontiguousarray(labels[:: self._step, :: self._step]))


def _interpolated(colours: tuple[tuple[int, int, int], ...]) -> NDArray[np.uint8]:
    at = np.linspace(0, 255, len(colours))
    channels = [np.interp(np.arange(256), at, channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _jpeg(image: Image.Image) -> tuple[str, bytes]:
    content = BytesIO()
    image.save(content, format="JPEG", quality=85)
    return "image/jpeg", content.getvalue()


def _indexed_png(image: Image.Image, palette: bytes) -> tuple[str, bytes]:
    image.putpalette(palette)
    content = BytesIO()
    # The fastest level: the picture is sent once, and mostly to the same machine.
    image.save(content, format="PNG", compress_level=1)
    return "image/png", content.getvalue()
