"""Frames on disk, read in order: a video, an image, or a folder of images."""

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError
from runtime.images import IMAGE_SUFFIXES
from runtime.sources.image_files import ImageFiles
from runtime.sources.video_file import VideoFile

__all__ = ["Recording", "open_recording"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")


class Recording(Protocol):
    """Frames of one size; for one thread."""

    @property
    def num_frames(self) -> int | None:
        """How many there are; None where a video does not say."""
        ...

    @property
    def rate(self) -> Fraction | None:
        """Frames a second of a video; None for images."""
        ...

    def read(self, into: NDArray[np.uint8]) -> str | None:
        """Write the next frame into memory of the caller.

        Args:
            into: (H, W, 3), contiguous.

        Returns:
            The frame's name; None after the last.

        Raises:
            FrameError: this frame is damaged or of another size; the next one may be good.
            DataError: the recording cannot be read any further.
        """
        ...

    def skip(self, num_frames: int) -> None:
        """Pass over frames where that costs nothing; a video, whose pictures build on each other, stays where it is."""
        ...

    def rewind(self) -> None:
        """Go back to the first frame.

        Raises:
            DataError: the recording cannot be opened again.
        """
        ...

    def close(self) -> None:
        """Close its file; may be repeated."""
        ...


def open_recording(path: Path, frame_hw: tuple[int, int]) -> Recording:
    """Open an image, a folder of images or a video; the caller closes it.

    Args:
        path: the file or folder.
        frame_hw: height and width every frame must have.

    Raises:
        DataError: `path` is none of the three, or cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return ImageFiles.in_folder(path, frame_hw)
    if not path.exists():
        raise DataError(f"input {path} does not exist; give an image, a folder of images or a video")
    if suffix in IMAGE_SUFFIXES:
        return ImageFiles({path.stem: path}, frame_hw)
    if suffix in VIDEO_SUFFIXES:
        return VideoFile(path, frame_hw)
    raise DataError(
        f"input {path} is no known image or video; expected a file ending in "
        f"{', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}, or a folder of images"
    )
