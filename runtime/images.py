"""Reading and writing frames as files; every error names the file."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import DataError
from runtime.files import replacing

__all__ = ["IMAGE_SUFFIXES", "image_files", "read_image", "write_png"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, (H, W, 3) uint8.

    Pillow tells damage in many ways: each exception caught here was seen on a file with one byte changed.

    Raises:
        DataError: the file is missing, not an image, or truncated.
    """
    try:
        with Image.open(path) as image:
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

    Raises:
        DataError: the folder does not exist, may not be read, or holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"image folder {folder} does not exist")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(f"image folder {folder} may not be read; correct its permissions")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"image folder {folder} holds no image; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return files
