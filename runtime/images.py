"""Reading and writing frames as files; every error names the file."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from runtime.errors import DataError
from runtime.files import replacing

__all__ = ["IMAGE_SUFFIXES", "image_files", "read_image", "write_png"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
BITS_PER_SAMPLE = 258


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, (H, W, 3) uint8; what it has of transparency is left out.

    Pillow tells damage in many ways: each exception caught here was seen on a file with one byte changed.

    Raises:
        DataError: the file is missing, not an image, truncated, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if (wide := _wide_mode(image)) is not None:
                raise DataError(
                    f"image {path} has mode {wide}; expected 8 bits a channel; convert it with the scaling that the "
                    "network was trained with"
                )
            return np.array(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"image {path} does not exist") from error
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"image {path} cannot be read ({error}); replace the file or remove it from the list"
        ) from error


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB or (H, W) grey as PNG, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def image_files(folder: Path) -> list[Path]:
    """All image files below a folder, sorted by path.

    Links to folders are followed, such as those to a fleet's drives. Each folder is looked into once, so that links may
    lead in a circle, and two ways to a folder do not count its images twice.

    Raises:
        DataError: the folder does not exist, may not be read, or holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"image folder {folder} does not exist")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(f"image folder {folder} may not be read; correct its permissions")
    files = sorted(path for path in _files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"image folder {folder} holds no image; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return files


def _wide_mode(image: ImageFile) -> str | None:
    """Mode of an image of more than 8 bits a channel, which Pillow would bring to 8 without a word; None for others.

    Grey beyond 255 would become white. Of 16-bit colours Pillow keeps the high byte, next to black where a camera's 10
    or 12 bits lie in 16, and of those in planes something else. Only whoever trained the network knows the scaling.
    """
    if image.mode.startswith(("I", "F")):
        return image.mode
    if isinstance(image, TiffImageFile):
        is_wide = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8
    else:
        is_wide = image.format == "PNG" and any(str(tile[3]).endswith(";16B") for tile in image.tile)
    return f"{image.mode} of 16 bits a channel" if is_wide else None


def _files_below(folder: Path) -> Iterator[Path]:
    # Links wait until all else was looked into: a folder that is there itself keeps its own name, which label maps and
    # lists of frames go by, where a link leads to it too.
    looked_into, waiting = set(), deque([folder])
    while waiting:
        for place, folders, files in os.walk(waiting.popleft()):
            path = Path(place)
            if (real := path.resolve()) in looked_into:
                folders.clear()
                continue
            looked_into.add(real)
            folders.sort()
            waiting.extend(path / name for name in folders if (path / name).is_symlink())
            yield from (path / name for name in files)
