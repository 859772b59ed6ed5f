from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.gates.comparison import Compared
from export.gates.picture import CELL_WIDTH, MARK, write_differences
from export.gates.tally import Confusion, FrameDifference
from export.gates.verdict import Verdict
from runtime.bundle.manifest import Artefact, Parity
from runtime.images import read_image
from runtime.labels import ClassInfo

CLASSES = tuple(
    ClassInfo(name=name, colour=colour)
    for name, colour in (("road", (128, 64, 128)), ("car", (0, 0, 142)), ("pole", (153, 153, 153)))
)


def verdict(*differences: FrameDifference) -> Verdict:
    parity = Parity(engine="onnxruntime", num_frames=4, label_agreement=0.9, max_confidence_difference=1)
    artefact = Artefact(
        file="fp32.onnx", sha256="0" * 64, num_bytes=1, format="onnx", precision="fp32", parity=(parity,)
    )
    compared = Compared(
        (parity,), differences=differences, confusions=(Confusion(expected=0, got=1, num_pixels=9, share=0.1),)
    )
    return Verdict(artefact, ("onnxruntime: label agreement 0.9, expected at least 0.9999",), compared)


def difference(hw: tuple[int, int], *pixels: tuple[int, int]) -> FrameDifference:
    frame = np.full((*hw, 3), 100, dtype=np.uint8)
    expected = np.zeros(hw, dtype=np.uint8)
    got = expected.copy()
    for row, column in pixels:
        got[row, column] = 1
    return FrameDifference(0, frame, expected, got)


def num_marked(picture: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero((picture == MARK).all(axis=2)))


@pytest.mark.parametrize("hw", [(64, 96), (1024, 2048), (300, 561)])
def test_a_single_differing_pixel_is_marked_whatever_the_size(hw: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "differences.png"
    assert write_differences(path, verdict(difference(hw, (hw[0] // 2, hw[1] // 3))), CLASSES)
    picture = read_image(path)
    assert 1 <= num_marked(picture) <= max(4, (CELL_WIDTH // hw[1]) ** 2)
    # Four cells beside each other.
    assert picture.shape[1] > 4 * CELL_WIDTH * 0.8


def test_every_frame_has_a_row(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    write_differences(one, verdict(difference((64, 96), (1, 1))), CLASSES)
    write_differences(two, verdict(difference((64, 96), (1, 1)), difference((64, 96), (2, 2), (2, 3))), CLASSES)
    assert num_marked(read_image(two)) == 3 * num_marked(read_image(one))


def test_where_nothing_differs_there_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "differences.png"
    assert not write_differences(path, verdict(), CLASSES)
    assert not path.exists()
