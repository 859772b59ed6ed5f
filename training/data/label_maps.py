"""Reading one label map: the raw ids in its file, and the train ids they stand for."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from runtime.errors import DataError

__all__ = ["RawIds", "read_ids", "read_ids_of_first_channel", "train_ids_of"]

RawIds = NDArray[np.uint8] | NDArray[np.uint16]
UNDEFINED = 254


def read_ids(path: Path) -> RawIds:
    """Raw ids of a label map with one 8-bit channel, grey or palette indices, (H, W).

    Raises:
        DataError: the file is missing, truncated, of fewer bits, or has colours in place of ids.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                raise DataError(f"label {path} has mode {image.mode}; expected one 8-bit channel of label ids")
            if image.format == "PNG" and image.mode == "L" and (stored := image.tile[0].args) != "L":
                # Pillow stretches fewer bits to 0..255: an id 1 of two bits would be read as 85.
                raise DataError(f"label {path} is a grey PNG stored as {stored}; expected 8 bits: save it anew")
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_ids_of_first_channel(path: Path) -> RawIds:
    """Raw ids of a SYNTHIA label map, (H, W): the first of three 16-bit channels (the second counts instances).

    Pillow has no colour mode above 8 bits: it keeps the high byte of each channel, and so turns every class
    into 0. torchvision's decoder can, but is deprecated. FFmpeg decodes such files exactly, and PyAV brings it.

    Raises:
        DataError: PyAV is not installed, or the file is missing, damaged, or not a 16-bit RGB PNG.
    """
    try:
        import av
    except ImportError as error:
        raise DataError(f"label {path} is a 16-bit RGB PNG, which needs PyAV: pip install 'iapc[video]'") from error
    try:
        with path.open("rb") as file, av.open(file, mode="r", format="png_pipe") as container:
            frame = next(container.decode(video=0), None)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    if frame is None or frame.format.name != "rgb48be":
        got = "no" if frame is None else frame.format.name
        raise DataError(f"label {path} holds {got} pixels; expected rgb48be, the 16-bit RGB of GT/LABELS")
    return frame.to_ndarray()[..., 0].astype(np.uint16)


def train_ids_of(ids: RawIds, table: NDArray[np.int16], origin: Path | str) -> NDArray[np.uint8]:
    """Train ids of raw ids, (H, W) uint8.

    Args:
        ids: (H, W) raw ids.
        table: (65536,) of `runtime.labels.id_table`.
        origin: where the ids are from, for the error.

    Raises:
        DataError: the data set does not define one of the ids.
    """
    if ids.dtype == np.uint8:
        # Less than half the time of indexing, on the largest array of a sample.
        small = np.where(table[:256] < 0, UNDEFINED, table[:256]).astype(np.uint8).tobytes()
        mapped = np.frombuffer(bytearray(ids).translate(small), dtype=np.uint8).reshape(ids.shape)
        if not (mapped == UNDEFINED).any():
            return mapped
    train_ids = table[ids]
    unknown = ids[train_ids < 0]
    if unknown.size:
        values, counts = np.unique(unknown, return_counts=True)
        found = ", ".join(f"{value} ({count} pixels)" for value, count in zip(values[:5], counts[:5], strict=True))
        raise DataError(
            f"label {origin} holds unknown label ids: {found}; expected {_ranges(np.flatnonzero(table >= 0))};"
            " check that the layout, and `ids` where it has them, fit this data set"
        )
    return train_ids.astype(np.uint8)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"label {path} cannot be read ({error}); restore the file from the data set")


def _ranges(ids: NDArray[np.intp]) -> str:
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
