"""Pictures for people: a contact sheet of a data set, and before against after."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, zip_longest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from runtime.images import write_png
from runtime.labels import IGNORE_INDEX, LabelSpace
from training.checkpoint import NetworkSpec
from training.data.frames import LabelledFrames
from training.device import Compute
from training.frame_sizes import frame_network_of
from training.networks.network import SegmentationNetwork

__all__ = ["colour_labels", "write_comparison", "write_contact_sheet"]

GAP = 4
CAPTION_HEIGHT, CAPTION_SIZE = 24, 16
CELL_WIDTH = 640
"""A sheet of full frames would be a hundred megabytes."""
COMPARED_FRAMES = 5


def colour_labels(labels: NDArray[np.uint8], space: LabelSpace) -> NDArray[np.uint8]:
    """(H, W) train ids -> (H, W, 3) colours of the space's palette; ignored pixels are black."""
    table = np.zeros((IGNORE_INDEX + 1, 3), dtype=np.uint8)
    table[: space.num_classes] = space.palette
    return table[labels]


def write_contact_sheet(path: Path, columns: Mapping[str, Sequence[NDArray[np.uint8]]]) -> bool:
    """Columns of pictures, by caption, which may differ in length; False, and no file, where there is none."""
    if not columns:
        return False
    rows = list(zip_longest(*columns.values()))
    write_png(path, _grid(list(columns), rows))
    return True


def write_comparison(
    path: Path,
    test: LabelledFrames,
    source: SegmentationNetwork,
    adapted: SegmentationNetwork,
    spec: NetworkSpec,
    compute: Compute,
) -> None:
    """Frame, truth, source-only and adapted labels of a few test frames, evenly spread.

    Raises:
        DataError: a frame or label cannot be read, or a frame is more than twice the networks' size.
    """
    rows = []
    for index in np.linspace(0, len(test) - 1, num=min(COMPARED_FRAMES, len(test)), dtype=int).tolist():
        image, truth = test.image(index), test.label(index)
        predictions = [_predict(network, spec, image, compute, test.name(index)) for network in (source, adapted)]
        rows.append([image, *(colour_labels(labels, spec.label_space) for labels in (truth, *predictions))])
    write_png(path, _grid(["target frame", "truth", "source only", "adapted"], rows))


def _predict(
    network: SegmentationNetwork, spec: NetworkSpec, image: NDArray[np.uint8], compute: Compute, name: str
) -> NDArray[np.uint8]:
    graph = frame_network_of(network, spec, (image.shape[0], image.shape[1]), name=name).to(compute.device)
    with torch.no_grad():
        labels, _ = graph(torch.from_numpy(image).to(compute.device)[None])
    predicted: NDArray[np.uint8] = labels[0].cpu().numpy()
    return predicted


def _grid(captions: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8] | None]]) -> NDArray[np.uint8]:
    """Captioned columns of pictures; cells have the shape of their column's first picture and are not too wide."""
    shapes = [_cell_hw(column[0]) for column in zip(*rows, strict=True)]
    lefts = [0, *accumulate(width + GAP for _, width in shapes)]
    row_height = max(height for height, _ in shapes) + GAP
    size = (lefts[-1] - GAP, CAPTION_HEIGHT + len(rows) * row_height - GAP)
    sheet = Image.new("RGB", size, color=(255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(CAPTION_SIZE)
    for column, caption in enumerate(captions):
        draw.text((lefts[column] + 2, 2), caption, fill=(0, 0, 0), font=font)
        for row, cells in enumerate(rows):
            picture, (height, width) = cells[column], shapes[column]
            if picture is not None:
                is_smaller = picture.shape[1] > width
                method = Image.Resampling.BOX if is_smaller else Image.Resampling.NEAREST
                cell = Image.fromarray(picture).resize((width, height), method)
                sheet.paste(cell, (lefts[column], CAPTION_HEIGHT + row * row_height))
    return np.array(sheet)


def _cell_hw(picture: NDArray[np.uint8] | None) -> tuple[int, int]:
    assert picture is not None
    height, width = picture.shape[:2]
    return (height, width) if width <= CELL_WIDTH else (round(height * CELL_WIDTH / width), CELL_WIDTH)
