"""Every frame of a recording, as fast as it is asked for: for a command, where a vehicle takes the newest one."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.sources.recording import open_recording

__all__ = ["Frames", "open_frames"]


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in order, each with the name its results are filed under; may be passed over again.

    Attributes:
        path: the image, folder of images or video.
        frame_hw: height and width of every frame.
        num_frames: how many there are; None where a video does not say.
        video_rate: frames a second of a video; None for images.
    """

    path: Path
    frame_hw: tuple[int, int]
    num_frames: int | None
    video_rate: Fraction | None

    def __iter__(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Read the frames, each as it is asked for: name, and (H, W, 3) uint8 RGB.

        Raises:
            DataError: the recording cannot be read.
            FrameError: a frame is damaged or has another size; the message names its file.
        """
        with closing(open_recording(self.path, self.frame_hw)) as recording:
            while True:
                frame = np.empty((*self.frame_hw, 3), dtype=np.uint8)
                name = recording.read(frame)
                if name is None:
                    return
                yield name, frame


def open_frames(path: Path, frame_hw: tuple[int, int]) -> Frames:
    """Look at an image, a folder of images or a video; frames are read only when they are asked for.

    Args:
        path: the file or folder.
        frame_hw: height and width every frame must have.

    Raises:
        DataError: `path` is none of the three, or cannot be read.
    """
    with closing(open_recording(path, frame_hw)) as recording:
        return Frames(path, frame_hw, recording.num_frames, recording.rate)
