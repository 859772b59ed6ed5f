"""Frames on disk: one PNG each, what is known of it inside, so that a frame is there wholly or not at all.

Nothing in a file or its name tells where it was taken, and the time no finer than the day, of the file's own time too.
"""

import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from pydantic import ValidationError

from runtime.command import say
from runtime.config import StrictModel
from runtime.errors import SinkError
from runtime.files import replacing
from runtime.sinks.disk import writing_to

__all__ = ["Kept", "Store", "day_of", "encoded"]

TEXT_KEY = "iapc"
NAMES = "[0-9]" * 8 + ".png"
LEFTOVERS = ".[0-9]*-*.png"
# Of zlib: a seventh larger than at its default, in a third of the time.
COMPRESSION = 1
DAY_S = 86_400


class Kept(StrictModel):
    """What a kept frame says of itself: the day (UTC), whose features they are, and how unsure the network was."""

    day: str
    bundle_id: str
    uncertainty: float
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    num_bytes: int


class Store:
    """The folder of frames, and its files by name; what a crash left half-done is deleted when it is opened.

    Attributes:
        kept: what each frame says, in the order in which they were kept.
        num_bytes: of all frames together.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self.kept: dict[str, Kept] = {}
        self.num_bytes = 0
        self._next = 1
        for leftover in folder.glob(LEFTOVERS):
            leftover.unlink()
        for path in sorted(folder.glob(NAMES)):
            self._take_in(path)

    def next_name(self) -> str:
        """The name of the next frame."""
        return f"{self._next:08}"

    def add(self, image: bytes, kept: Kept) -> None:
        """Write a frame under the next name.

        Raises:
            SinkError: the disk is full or the folder is gone; the folder is as before.
        """
        name = self.next_name()
        path = self._folder / f"{name}.png"
        midnight = datetime.fromisoformat(kept.day).replace(tzinfo=UTC).timestamp()
        with writing_to(self._folder), replacing(path) as temporary:
            temporary.write_bytes(image)
            os.utime(temporary, (midnight, midnight))
        self._enter(name, _File(path, len(image)), kept)

    def remove(self, name: str) -> None:
        """Delete a frame.

        Raises:
            SinkError: it cannot be deleted.
        """
        file = self._files[name]
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"{file.path} cannot be deleted ({error.strerror}); correct its permissions") from error
        del self._files[name], self.kept[name]
        self.num_bytes -= file.num_bytes

    def _take_in(self, path: Path) -> None:
        try:
            # Only what stands before the pixels is read.
            with Image.open(path) as image:
                kept = Kept.model_validate_json(image.info.get(TEXT_KEY, ""))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, ValidationError) as error:
            say(f"{path} is no frame that was kept by a harvest ({type(error).__name__}); it stays and does not count")
            self._next = int(path.stem) + 1
        else:
            self._enter(path.stem, _File(path, path.stat().st_size), kept)

    def _enter(self, name: str, file: _File, kept: Kept) -> None:
        self._files[name], self.kept[name] = file, kept
        self._next = int(name) + 1
        self.num_bytes += file.num_bytes


def encoded(frame: NDArray[np.uint8], kept: Kept) -> bytes:
    """A frame (H, W, 3) RGB as PNG, without loss, with what is known of it."""
    text = PngImagePlugin.PngInfo()
    text.add_text(TEXT_KEY, kept.model_dump_json())
    image = io.BytesIO()
    Image.fromarray(frame).save(image, format="PNG", compress_level=COMPRESSION, pnginfo=text)
    return image.getvalue()


def day_of(wall_s: float) -> str:
    """The day (UTC) of a time."""
    return datetime.fromtimestamp(wall_s // DAY_S * DAY_S, tz=UTC).date().isoformat()
