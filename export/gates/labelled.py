"""Labelled target frames, on which the gate measures what an artefact costs in IoU."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.config import ExportConfig
from runtime.command import say
from runtime.errors import DataError
from runtime.labels import LabelSpace
from training.data.frames import LabelledFrames
from training.data.open import open_labelled_frames

__all__ = ["JudgedFrames", "open_judged_frames"]

Maps = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class JudgedFrames:
    """Labelled frames spread evenly over a data set, all of one size."""

    frames: LabelledFrames
    indices: tuple[int, ...]
    frame_hw: tuple[int, int]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[Maps, Maps]]:
        """Read frame and truth one by one: (1, *frame_hw, 3) uint8 RGB, and (*frame_hw) uint8 train ids.

        Raises:
            DataError: a file cannot be read, or a frame has another size.
        """
        for index in self.indices:
            frame = self.frames.image(index)
            if frame.shape[:2] != self.frame_hw:
                raise DataError(
                    f"frame {self.frames.name(index)} of export.test is {frame.shape[0]}x{frame.shape[1]} pixels "
                    f"(height x width), but the bundle is for {self.frame_hw[0]}x{self.frame_hw[1]}; give labelled "
                    "frames of the camera's size, or leave export.test out"
                )
            yield np.ascontiguousarray(frame)[np.newaxis], self.frames.label(index)


def open_judged_frames(config: ExportConfig, space: LabelSpace, frame_hw: tuple[int, int]) -> JudgedFrames | None:
    """The frames of `export.test`, with labels in the network's classes; None where there are none.

    Raises:
        ConfigError: the layout or split has no labels.
        DataError: the data set is not where the config says, holds no frame, or a frame has no label file.
    """
    if config.test is None:
        return None
    frames = open_labelled_frames(config.test, space)
    num_frames = min(config.num_test_frames, len(frames))
    if num_frames < config.num_test_frames:
        say(f"only {num_frames} of export.num_test_frames={config.num_test_frames} frames exist; all are taken")
    indices = np.linspace(0, len(frames) - 1, num=num_frames, dtype=int)
    return JudgedFrames(frames, tuple(int(index) for index in indices), frame_hw)
