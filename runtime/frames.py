"""Frames as numpy arrays, and where they come from: an image file, a folder of images, or a video file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, FrameError
from runtime.images import IMAGE_SUFFIXES, image_files, read_image

__all__ = ["VIDEO_SUFFIXES", "FrameSource", "check_frame", "import_av", "open_frames"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")


@dataclass(frozen=True, slots=True)
class FrameSource:
    """Frames in order, each with the name its results are filed under.

    Attributes:
        read: starts a new pass over the frames: (name, (H, W, 3) uint8 RGB).
        num_frames: how many there are; None where a video does not say.
        video_rate: frames per second of a video; None for images.
    """

    read: Callable[[], Iterator[tuple[str, NDArray[np.uint8]]]]
    num_frames: int | None
    video_rate: Fraction | None = None

    def __iter__(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Read the frames, each as it is asked for."""
        return self.read()


def open_frames(path: Path, *, frame_height: int, frame_width: int) -> FrameSource:
    """Open an image, a folder of images or a video; frames are read only when they are asked for.

    Args:
        path: the file or folder.
        frame_height: height every frame must have, in pixels.
        frame_width: width every frame must have, in pixels.

    Raises:
        DataError: `path` is none of the three, or cannot be read (also later, when a frame is read).
        FrameError: a frame has another size (when it is read); the message names its file.
    """
    frame_hw = (frame_height, frame_width)
    suffix = path.suffix.lower()
    if path.is_dir():
        files = _files_by_name(path)
        return FrameSource(lambda: _read_images(files, frame_hw), len(files))
    if not path.exists():
        raise DataError(f"input {path} does not exist; give an image, a folder of images or a video")
    if suffix in IMAGE_SUFFIXES:
        return FrameSource(lambda: _read_images({path.stem: path}, frame_hw), 1)
    if suffix in VIDEO_SUFFIXES:
        num_frames, rate = _describe_video(path)
        return FrameSource(lambda: _read_video(path, frame_hw), num_frames, rate)
    raise DataError(
        f"input {path} is no known image or video; expected a file ending in "
        f"{', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}, or a folder of images"
    )


def check_frame(frame: object, frame_height: int, frame_width: int, name: str = "the frame") -> None:
    """Refuse whatever is not a frame of the bundle's size.

    Args:
        frame: should be (frame_height, frame_width, 3) uint8 RGB.
        frame_height: the manifest's, in pixels.
        frame_width: the manifest's, in pixels.
        name: what the message calls it.

    Raises:
        FrameError: it is no array, has another type or another shape.
    """
    expected = f"expected uint8 RGB 0..255 of shape ({frame_height}, {frame_width}, 3)"
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"{name} is a {type(frame).__name__}; {expected}; convert it with numpy.asarray")
    if frame.dtype != np.uint8:
        if np.issubdtype(frame.dtype, np.floating) and np.isnan(frame).any():
            raise FrameError(f"{name} is {frame.dtype} and holds NaN; {expected}; find where the NaN comes from")
        raise FrameError(
            f"{name} is {frame.dtype}; {expected}; scale it to 0..255 and convert it with astype(numpy.uint8)"
        )
    if frame.shape != (frame_height, frame_width, 3):
        raise FrameError(
            f"{name} has shape {frame.shape}; {expected}; the bundle's frame size is fixed at export: set the "
            "frame size in the export section of the run file and export again, or give frames of this size"
        )


def import_av() -> Any:
    """PyAV, which reads and writes videos; an optional extra because of its size.

    Raises:
        DataError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"videos need PyAV, which cannot be imported ({error}); install it with `pip install 'iapc[video]'`, "
            "or give a folder of images"
        ) from error
    return av


def _files_by_name(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in image_files(folder):
        name = "_".join(file.relative_to(folder).with_suffix("").parts)
        if name in files:
            raise DataError(f"{files[name]} and {file} would both be filed under {name!r}; rename one of them")
        files[name] = file
    return files


def _read_images(files: dict[str, Path], frame_hw: tuple[int, int]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for name, file in files.items():
        frame = read_image(file)
        check_frame(frame, *frame_hw, name=str(file))
        yield name, frame


def _describe_video(path: Path) -> tuple[int | None, Fraction]:
    """Number of frames, None where the container does not say, and frames per second."""
    av = import_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"video {path} has no picture in it; give another file")
            stream = container.streams.video[0]
            num_frames, rate = stream.frames or None, stream.average_rate
    except av.FFmpegError as error:
        raise _unreadable(path, error) from error
    if not rate:
        raise DataError(f"video {path} does not say its frame rate; convert it, for example to .mp4")
    return num_frames, rate


def _read_video(path: Path, frame_hw: tuple[int, int]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    av = import_av()
    try:
        with av.open(str(path)) as container:
            index = None
            for index, picture in enumerate(container.decode(video=0)):
                frame = picture.to_ndarray(format="rgb24")
                check_frame(frame, *frame_hw, name=f"{path} frame {index}")
                yield f"{path.stem}_{index:06d}", frame
            if index is None:
                raise DataError(f"video {path} holds no frame that can be decoded; replace the file")
    except av.FFmpegError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"video {path} cannot be read ({error}); replace the file or cut it before the damage")
