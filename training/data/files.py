"""Frames, and frames with label maps, that lie on disk as files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import DataError
from runtime.images import read_image
from training.data.label_maps import RawIds, train_ids_of

__all__ = ["ImageFiles", "LabelledFiles", "files_digest"]

DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class ImageFiles:
    """Image files below a root: the unlabelled side of every data set on disk."""

    root: Path
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.paths)

    def name(self, index: int) -> str:
        """Path of a frame below the root, with forward slashes."""
        return self.paths[index].relative_to(self.root).as_posix()

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a frame, as its file's header tells them.

        Raises:
            DataError: the file is missing or not an image.
        """
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return image.height, image.width
        except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"image {path} cannot be read ({error}); restore the file from the data set") from error

    def image(self, index: int) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) RGB uint8.

        Raises:
            DataError: the file is missing, not an image, or truncated.
        """
        return read_image(self.paths[index])


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFiles:
    """Image files with a label map each.

    `table` leads from raw ids to train ids; `read_ids` knows the file format of the label maps.
    """

    images: ImageFiles
    label_paths: tuple[Path, ...]
    table: NDArray[np.int16]
    read_ids: Callable[[Path], RawIds]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)

    def name(self, index: int) -> str:
        """Path of a frame below the root, with forward slashes."""
        return self.images.name(index)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a frame, as its file's header tells them.

        Raises:
            DataError: the file is missing or not an image.
        """
        return self.images.hw(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) RGB uint8.

        Raises:
            DataError: the file is missing, not an image, or truncated.
        """
        return self.images.image(index)

    def ids(self, index: int) -> RawIds:
        """Raw ids as they stand in the label file, of whatever size.

        Raises:
            DataError: the file is missing or damaged.
        """
        return self.read_ids(self.label_paths[index])

    def label(self, index: int) -> NDArray[np.uint8]:
        """The label map of a frame, (H, W) uint8 train ids.

        Raises:
            DataError: the file is missing or damaged, its size is not the image's, or an id is unknown.
        """
        path, image_path = self.label_paths[index], self.images.paths[index]
        ids = self.ids(index)
        # The header is enough: decoding the pixels a second time would double the cost of a sample.
        height, width = self.hw(index)
        if ids.shape != (height, width):
            raise DataError(
                f"label {path} is {ids.shape[0]}x{ids.shape[1]} pixels (height x width) but its image"
                f" {image_path} is {height}x{width}; restore both files from the data set"
            )
        return train_ids_of(ids, self.table, path)


def files_digest(files: ImageFiles | LabelledFiles) -> str:
    """Short hash of which files there are: names and sizes in bytes of images, in their order, and sizes of label maps.

    One look at each file's entry is all it takes. Contents would take minutes to read, and times of modification change
    when a data set is copied; what is not told apart is a file in whose place another of the very same size was put.

    Raises:
        DataError: a file is missing.
    """
    images, labels = (files, ()) if isinstance(files, ImageFiles) else (files.images, files.label_paths)
    told = [
        [[images.name(index), _num_bytes(path)] for index, path in enumerate(images.paths)],
        [_num_bytes(path) for path in labels],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:DIGEST_LENGTH]


def _num_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); restore the file from the data set") from error
