"""PyAV, which reads and writes videos, streams and cameras: how it is imported, and how its pictures become frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MissingPackageError
from runtime.frames import check_shape

__all__ = ["Converter", "import_av", "reason_of"]


def import_av() -> Any:
    """The package; an optional extra because of its size.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackageError(
            f"videos and cameras need PyAV, which cannot be imported ({error}); install it with `pip install "
            "'iapc[video]'`, or give a folder of images"
        ) from error
    return av


def reason_of(error: Any) -> str:
    """What FFmpeg says went wrong, without the address it failed on: that may hold a password."""
    return str(error.strerror or type(error).__name__)


class Converter:
    """Turns decoded pictures into RGB in memory of the caller."""

    def __init__(self) -> None:
        # One for all pictures: it keeps the plan of the conversion, which costs more than to carry it out.
        self._reformatter = import_av().video.reformatter.VideoReformatter()

    def convert(self, picture: Any, into: NDArray[np.uint8], name: str) -> None:
        """Write a picture.

        Args:
            picture: an `av.VideoFrame` in any pixel format.
            into: (H, W, 3), contiguous.
            name: what a message calls the picture.

        Raises:
            FrameError: the picture has another size than `into`.
        """
        height, width = into.shape[:2]
        check_shape((picture.height, picture.width, 3), (height, width), name)
        plane = self._reformatter.reformat(picture, format="rgb24").planes[0]
        # FFmpeg pads its lines.
        lines = np.frombuffer(plane, dtype=np.uint8).reshape(height, plane.line_size)
        np.copyto(into.reshape(height, width * 3), lines[:, : width * 3])
