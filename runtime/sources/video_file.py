"""A video file as a recording."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, FrameError
from runtime.pyav import Converter, import_av, reason_of

__all__ = ["VideoFile"]


class VideoFile:
    """The pictures of a file that PyAV decodes; see `Recording`.

    Args:
        path: the file.
        frame_hw: height and width every picture must have.

    Attributes:
        num_frames: as the file says; None where it does not.
        rate: frames a second.

    Raises:
        MissingPackageError: PyAV is not installed.
        DataError: the file cannot be read, holds no pictures, or does not say its rate.
    """

    def __init__(self, path: Path, frame_hw: tuple[int, int]) -> None:
        self._av = import_av()
        self._path, self._frame_hw = path, frame_hw
        self._converter = Converter()
        self._index = 0
        self._open()
        try:
            self.num_frames, self.rate = self._describe()
        except DataError:
            self.close()
            raise

    def read(self, into: NDArray[np.uint8]) -> str | None:
        """Write the next picture; see `Recording.read`."""
        picture = self._next()
        if picture is None:
            return None
        index, self._index = self._index, self._index + 1
        name = f"{self._path} frame {index}"
        if picture.is_corrupt:
            raise FrameError(f"{name} is damaged; replace the file or cut out the damage")
        self._converter.convert(picture, into, name)
        return f"{self._path.stem}_{index:06d}"

    def skip(self, num_frames: int) -> None:
        """Nothing: a picture can only be decoded after those before it; see `Recording.skip`."""

    def rewind(self) -> None:
        """Open the file again; not every format can be sought in."""
        self.close()
        self._open()

    def close(self) -> None:
        """Close the file; may be repeated."""
        self._container.close()

    def _open(self) -> None:
        self._index = 0
        self._decoded: deque[Any] = deque()
        try:
            self._container = self._av.open(str(self._path))
        except self._av.FFmpegError as error:
            raise self._unreadable(error) from error
        self._packets: Iterator[Any] = self._container.demux(video=0) if self._container.streams.video else iter(())

    def _describe(self) -> tuple[int | None, Fraction]:
        if not self._container.streams.video:
            raise DataError(f"video {self._path} has no picture in it; give another file")
        stream = self._container.streams.video[0]
        if not stream.average_rate:
            raise DataError(f"video {self._path} does not say its frame rate; convert it, for example to .mp4")
        return stream.frames or None, stream.average_rate

    def _next(self) -> Any:
        """The next picture; None after the last."""
        while not self._decoded:
            try:
                packet = next(self._packets, None)
            except self._av.FFmpegError as error:
                raise self._unreadable(error) from error
            if packet is None:
                if self._index == 0:
                    raise DataError(f"video {self._path} holds no frame that can be decoded; replace the file")
                return None
            self._decode(packet)
        return self._decoded.popleft()

    def _decode(self, packet: Any) -> None:
        try:
            self._decoded.extend(packet.decode())
        except self._av.FFmpegError as error:
            index, self._index = self._index, self._index + 1
            raise FrameError(
                f"{self._path} frame {index} cannot be decoded ({reason_of(error)}); replace the file or cut out the "
                "damage"
            ) from error

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"video {self._path} cannot be read ({reason_of(error)}); replace the file or cut it before the damage"
        )
