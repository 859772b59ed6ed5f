"""Labelled target frames, on which the gate measures what an artefact costs in IoU."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.config import ExportConfig
from export.frame_sets import frame_identity
from runtime.command import say
from runtime.errors import DataError
from runtime.labels import LabelSpace
from training.data.config import FramesConfig
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


def open_judged_frames(
    config: ExportConfig, space: LabelSpace, frame_hw: tuple[int, int], *, seen: Set[str] = frozenset()
) -> JudgedFrames | None:
    """The frames of `export.test`, with labels in the network's classes; None where there is no such data set.

    Args:
        config: which frames, and how many.
        space: the network's classes.
        frame_hw: height and width of every frame.
        seen: `frame_identity` of frames that integers are calibrated or chosen on; INT8 would look better on them than
            it is, so that they are left out.

    Raises:
        ConfigError: the layout or split has no labels.
        DataError: the data set is not where the config says, holds no frame, or none but those to leave out, or a
            frame has no label file.
    """
    if config.test is None:
        return None
    frames = open_labelled_frames(config.test, space)
    unseen = _unseen(frames, config.test, seen)
    num_frames = min(config.num_test_frames, len(unseen))
    if num_frames < config.num_test_frames:
        say(f"only {num_frames} of export.num_test_frames={config.num_test_frames} frames exist; all are taken")
    places = np.linspace(0, len(unseen) - 1, num=num_frames, dtype=int)
    return JudgedFrames(frames, tuple(unseen[place] for place in places), frame_hw)


def _unseen(frames: LabelledFrames, config: FramesConfig, seen: Set[str]) -> list[int]:
    """Indices of the frames that are not among those seen."""
    unseen = [index for index in range(len(frames)) if frame_identity(config, frames.name(index)) not in seen]
    num_seen = len(frames) - len(unseen)
    if not unseen:
        raise DataError(
            f"all {num_seen} frames of export.test are frames of export.frames that INT8 is calibrated and chosen on, "
            "so that none is left to judge it; give labelled frames that are not in export.frames, leave export.test "
            "out, or remove the int8 forms from export.artefacts"
        )
    if num_seen:
        say(
            f"{num_seen} of the {len(frames)} frames of export.test are left out: INT8 is calibrated and chosen on "
            "them, as frames of export.frames"
        )
    return unseen
