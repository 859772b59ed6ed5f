"""Rendered streets as frames: nothing is stored, a frame is a pure function of its seed."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.label_maps import train_ids_of
from training.streets.render import render_frame

__all__ = ["LabelledStreetFrames", "StreetFrames"]


@dataclass(frozen=True, slots=True, eq=False)
class StreetFrames:
    """Frames of the seeds `first` to `first + count - 1`."""

    domain: Literal["source", "target"]
    first: int
    count: int
    height: int
    width: int

    def __len__(self) -> int:
        """Number of frames."""
        return self.count

    def name(self, index: int) -> str:
        """Domain and seed of a frame, such as streets-target-000017."""
        return f"streets-{self.domain}-{self.seed(index):06d}"

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a frame; all have the same."""
        return self.height, self.width

    def seed(self, index: int) -> int:
        """Seed of a frame.

        Raises:
            IndexError: there is no such frame.
        """
        return range(self.first, self.first + self.count)[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) RGB uint8."""
        image, _ = _rendered(self.domain, self.seed(index), self.height, self.width)
        return image.copy()


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStreetFrames:
    """Rendered streets with the label maps they were painted from; `table` leads from their ids to train ids."""

    frames: StreetFrames
    table: NDArray[np.int16]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def name(self, index: int) -> str:
        """Domain and seed of a frame, such as streets-target-000017."""
        return self.frames.name(index)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a frame; all have the same."""
        return self.frames.hw(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) RGB uint8."""
        return self.frames.image(index)

    def ids(self, index: int) -> NDArray[np.uint8]:
        """The ids a frame was painted with, (H, W)."""
        frames = self.frames
        _, ids = _rendered(frames.domain, frames.seed(index), frames.height, frames.width)
        return ids

    def label(self, index: int) -> NDArray[np.uint8]:
        """The label map of a frame, (H, W) uint8 train ids."""
        return train_ids_of(self.ids(index), self.table, f"of {self.name(index)}")


# A training sample asks for an image and then for its label: keeping one frame halves its cost.
@lru_cache(maxsize=1)
def _rendered(
    domain: Literal["source", "target"], seed: int, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return render_frame(domain, seed, height=height, width=width)
