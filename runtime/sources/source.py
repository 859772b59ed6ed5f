"""What the loop asks of a camera, a file or another process."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.result import Captured

__all__ = ["Source"]


class Source(Protocol):
    """Frames of one camera, in order; read by one thread, closed by any."""

    @property
    def is_finished(self) -> bool:
        """Whether the last frame was read; a camera is never finished."""
        ...

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait for the next frame and write it into memory of the caller, as RGB.

        Args:
            into: (H, W, 3), contiguous; after an error its content is undefined.
            timeout_s: longest wait; a source that cannot be interrupted may take longer, and the loop's watchdog then
                says so.

        Returns:
            What is known of the frame; None where none came in time, or the source is finished.

        Raises:
            FrameError: this frame is corrupt or of another size; the next one may be good.
            SourceError: the source is lost; close it and open it again.
        """
        ...

    def close(self) -> None:
        """Give back the device or file; may be repeated."""
        ...
