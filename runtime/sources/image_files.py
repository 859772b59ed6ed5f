"""Image files as a recording."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, FrameError
from runtime.frames import check_frame
from runtime.images import image_files, read_image

__all__ = ["ImageFiles"]


class ImageFiles:
    """Image files, in the order given; see `Recording`.

    Args:
        files: the name that results of each are filed under, and the file.
        frame_hw: height and width every image must have.
    """

    rate: Fraction | None = None

    def __init__(self, files: Mapping[str, Path], frame_hw: tuple[int, int]) -> None:
        self._files, self._frame_hw = tuple(files.items()), frame_hw
        self._index = 0

    @classmethod
    def in_folder(cls, folder: Path, frame_hw: tuple[int, int]) -> Self:
        """All images below a folder, in the order of their paths.

        Raises:
            DataError: there is no image, or two would have the same name.
        """
        files: dict[str, Path] = {}
        for file in image_files(folder):
            name = "_".join(file.relative_to(folder).with_suffix("").parts)
            if name in files:
                raise DataError(f"{files[name]} and {file} would both be filed under {name!r}; rename one of them")
            files[name] = file
        return cls(files, frame_hw)

    @property
    def num_frames(self) -> int:
        """How many images there are."""
        return len(self._files)

    def read(self, into: NDArray[np.uint8]) -> str | None:
        """Write the next image; see `Recording.read`."""
        if self._index >= len(self._files):
            return None
        name, file = self._files[self._index]
        self._index += 1
        try:
            image = read_image(file)
        except DataError as error:
            raise FrameError(str(error)) from error
        check_frame(image, self._frame_hw, str(file))
        np.copyto(into, image)
        return name

    def skip(self, num_frames: int) -> None:
        """Pass over images."""
        self._index += num_frames

    def rewind(self) -> None:
        """Go back to the first image."""
        self._index = 0

    def close(self) -> None:
        """Nothing is open between two images."""
