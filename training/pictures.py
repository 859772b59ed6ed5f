"""Pictures for people: a contact sheet of a data set, and before against after."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from runtime.images import write_png
from runtime.labels import IGNORE_INDEX, LabelSpace
from training.checkpoint import NetworkSpec
from training.data.frames import LabelledFrames
from training.device import Compute
from training.networks.network import SegmentationNetwork

__all__ = ["colour_labels", "write_comparison", "write_contact_sheet"]

GAP = 4
CAPTION_HEIGHT = 16
COMPARED_FRAMES = 5


def colour_labels(labels: NDArray[np.uint8], space: LabelSpace) -> NDArray[np.uint8]:
    """(H, W) train ids -> (H, W, 3) colours of the space's palette; ignored pixels are black."""
    table = np.zeros((IGNORE_INDEX + 1, 3), dtype=np.uint8)
    table[: space.num_classes] = space.palette
    return table[labels]


def write_contact_sheet(
    path: Path, columns: Sequence[tuple[str, LabelledFrames]], space: LabelSpace, *, num_rows: int
) -> None:
    """Frames of several data sets side by side, each with its labels to its right."""
    captions = [caption for title, _ in columns for caption in (title, f"{title}: labels")]
    rows = []
    for row in range(num_rows):
        cells = []
        for _, frames in columns:
            index = row * (len(frames) - 1) // max(1, num_rows - 1)
            cells += [frames.image(index), colour_labels(frames.label(index), space)]
        rows.append(cells)
    write_png(path, _grid(captions, rows))


def write_comparison(
    path: Path,
    test: LabelledFrames,
    source: SegmentationNetwork,
    adapted: SegmentationNetwork,
    spec: NetworkSpec,
    compute: Compute,
) -> None:
    """Frame, truth, source-only and adapted labels of a few test frames, evenly spread."""
    rows = []
    for index in np.linspace(0, len(test) - 1, num=min(COMPARED_FRAMES, len(test)), dtype=int):
        image, truth = test.image(int(index)), test.label(int(index))
        predictions = [_predict(network, spec, image, compute) for network in (source, adapted)]
        rows.append([image, *(colour_labels(labels, spec.space) for labels in (truth, *predictions))])
    write_png(path, _grid(["target frame", "truth", "source only", "adapted"], rows))


def _predict(
    network: SegmentationNetwork, spec: NetworkSpec, image: NDArray[np.uint8], compute: Compute
) -> NDArray[np.uint8]:
    graph = spec.frame_network(network, (image.shape[0], image.shape[1])).to(compute.device)
    with torch.no_grad():
        labels, _ = graph(torch.from_numpy(image).to(compute.device)[None])
    predicted: NDArray[np.uint8] = labels[0].cpu().numpy()
    return predicted


def _grid(captions: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Captioned columns of pictures; cells take the size of the first row's first picture."""
    height, width = rows[0][0].shape[:2]
    sheet = Image.new(
        "RGB",
        (len(captions) * (width + GAP) - GAP, CAPTION_HEIGHT + len(rows) * (height + GAP) - GAP),
        color=(255, 255, 255),
    )
    draw = ImageDraw.Draw(sheet)
    for column, caption in enumerate(captions):
        draw.text((column * (width + GAP) + 2, 2), caption, fill=(0, 0, 0))
        for row, cells in enumerate(rows):
            cell = Image.fromarray(cells[column]).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(cell, (column * (width + GAP), CAPTION_HEIGHT + row * (height + GAP)))
    return np.array(sheet)
