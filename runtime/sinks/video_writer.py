"""A video that is kept up to its last seconds when the power goes, or the disk is full for a while."""

from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import SinkError
from runtime.pyav import import_av, reason_of
from runtime.sinks.disk import append_whole, open_alone, writing_to

__all__ = ["VideoWriter"]

FRAGMENT_S = 2
# A fragment holds all that is needed to play it, after the header that the file begins with: neither a power cut nor
# a fragment that found no space spoils the others, as it would in a plain MP4, whose index is written last. Matroska
# would be as robust; browsers do not play it.
FORMAT = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
# Nothing waits in the encoder for pictures to come, and a vehicle has better uses for its processor.
ENCODER = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0"}


class VideoWriter:
    """Writes an MP4 (H.264) fragment by fragment, each of two seconds and safe on the disk once it is written.

    While it is written it is called NAME.part.mp4; what an earlier process left there is kept as NAME.interrupted.mp4,
    and where that is taken as NAME.interrupted.2.mp4 and so on.

    Args:
        path: the finished video, in an existing folder.
        rate: pictures a second.
        is_numbered: where there is a video at `path`, call this one NAME.2.mp4 and so on instead of replacing it.

    Raises:
        MissingPackageError: PyAV is not installed.
        SinkError: the file cannot be opened, or another process writes it.
    """

    def __init__(self, path: Path, rate: Fraction, *, is_numbered: bool = False) -> None:
        self._av = import_av()
        self._path, self._part = path, path.with_name(f"{path.stem}.part{path.suffix}")
        self._is_numbered = is_numbered
        with writing_to(path.parent):
            _keep_interrupted(self._part, path.with_name(f"{path.stem}.interrupted{path.suffix}"))
            self._file = _WholePieces(self._part)
        self._container = self._av.open(self._file, "w", format="mp4", options=FORMAT)
        self._stream = self._container.add_stream("libx264", rate=rate, options=ENCODER)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.gop_size = max(1, round(rate * FRAGMENT_S))

    def append(self, picture: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) RGB; the size is that of the first one.

        Raises:
            DiskFullError: a fragment of up to two seconds found no space, and is lost; the next one will be tried.
            SinkError: it cannot be written for another reason.
        """
        height, width = picture.shape[:2]
        # yuv420p halves the colour planes, so both sides must be even.
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if not self._stream.codec_context.is_open:
            self._stream.height, self._stream.width = even.shape[:2]
        size = (self._stream.height, self._stream.width)
        if even.shape[:2] != size:
            raise SinkError(f"video {self._path} has pictures of {size}, got {even.shape[:2]}; begin another video")
        self._mux(self._av.VideoFrame.from_ndarray(even, format="rgb24"))

    def close(self) -> None:
        """Finish the video and give it its name.

        Raises:
            SinkError: as for `append`; the part is kept.
        """
        try:
            if self._stream.codec_context.is_open:
                self._mux(None)
            self._container.close()
            with writing_to(self._path.parent):
                self._file.keep()
                self._part.replace(_free(self._path) if self._is_numbered else self._path)
        finally:
            self._file.close()

    def discard(self) -> None:
        """Leave nothing."""
        self._container.close()
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _mux(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except self._av.FFmpegError as error:
            raise SinkError(f"video {self._path} cannot be encoded ({reason_of(error)})") from error
        with writing_to(self._path.parent):
            self._file.keep()


def _keep_interrupted(part: Path, kept: Path) -> None:
    """Give what an earlier process left half-written a name of its own."""
    if part.exists():
        # That process may live.
        with open_alone(part):
            part.replace(_free(kept))


def _free(path: Path) -> Path:
    """The path or, where that is taken, the first of NAME.2.mp4, NAME.3.mp4 and so on that is not."""
    numbered = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(2))
    return path if not path.exists() else next(name for name in numbered if not name.exists())


class _WholePieces:
    """What FFmpeg writes into: collects a piece in memory, and appends it to a file whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = open_alone(path)
        self._piece = bytearray()
        self._header: bytes | None = None
        self._is_begun = False

    def write(self, content: bytes) -> int:
        self._piece += content
        return len(content)

    def keep(self) -> None:
        """Append what was collected; FFmpeg hands over the header first, then whole fragments between two pictures."""
        if not self._piece:
            return
        piece, self._piece = bytes(self._piece), bytearray()
        if self._header is None:
            self._header = piece
        elif not self._is_begun:
            # The header found no space before, and nothing can be played without it.
            piece = self._header + piece
        append_whole(self._file, piece, is_synced=True)
        self._is_begun = True

    def close(self) -> None:
        self._file.close()
