"""What every data set looks like from the outside."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frames", "LabelledFrames"]


class Frames(Protocol):
    """Unlabelled frames. There is no way from here to a label, which is what keeps adaptation honest."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def name(self, index: int) -> str:
        """Name of a frame, unique in its data set: the path below its root, or the seed it is rendered from."""
        ...

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a frame, in pixels; none is decoded or rendered for it.

        Raises:
            DataError: its file cannot be read.
        """
        ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) RGB uint8.

        Raises:
            DataError: its file cannot be read.
        """
        ...


class LabelledFrames(Frames, Protocol):
    """Frames with a label map each."""

    def label(self, index: int) -> NDArray[np.uint8]:
        """The label map of a frame, (H, W) uint8 train ids; `IGNORE_INDEX` where no class applies.

        Raises:
            DataError: its file cannot be read, is not of the frame's size, or holds an id the data set
                does not define.
        """
        ...
