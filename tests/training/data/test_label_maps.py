"""Raw ids in label files, and the train ids they stand for."""

import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError
from runtime.labels import IGNORE_INDEX, LABEL_SPACES, id_table
from training.data.label_ids import CAMVID_NAMES, CITYSCAPES_NAMES, GTA5_NAMES, SYNTHIA_NAMES
from training.data.label_maps import RawIds, read_ids, read_ids_of_first_channel, train_ids_of

# Raw id -> train id as the data sets' own tools and the literature have them; every other id is ignored.
CITYSCAPES_PUBLISHED = dict(
    zip([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33], range(19), strict=True)
)
SYNTHIA_PUBLISHED = dict(
    zip([3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11], range(19), strict=True)
)


def write_16bit(path: Path, pixels: list[list[tuple[int, int, int]]]) -> None:
    rows = b"".join(b"\0" + np.array(row, dtype=">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.fixture
def grey_file(tmp_path: Path) -> Path:
    path = tmp_path / "label.png"
    Image.fromarray(np.array([[0, 7, 33], [255, 1, 2]], dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def file_16bit(tmp_path: Path) -> Path:
    path = tmp_path / "label.png"
    write_16bit(path, [[(3, 40_000, 1), (255, 0, 2), (256, 7, 3)], [(4660, 8, 0), (22, 9, 0), (0, 300, 0)]])
    return path


# Reading


def test_grey_values_are_the_ids(grey_file: Path) -> None:
    assert read_ids(grey_file).tolist() == [[0, 7, 33], [255, 1, 2]]


def test_palette_indices_are_the_ids_whatever_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 7, 34]], dtype=np.uint8))
    image.putpalette([255 - value // 3 for value in range(768)])
    image.save(tmp_path / "label.png")
    assert read_ids(tmp_path / "label.png").tolist() == [[0, 7, 34]]


def test_first_of_three_16bit_channels_is_read_with_both_its_bytes(file_16bit: Path) -> None:
    assert read_ids_of_first_channel(file_16bit).tolist() == [[3, 255, 256], [4660, 22, 0]]


@pytest.mark.parametrize("share", [0, 15, 40, 70], ids="kept {:d} %".format)
@pytest.mark.parametrize(
    ("fixture", "read"), [("grey_file", read_ids), ("file_16bit", read_ids_of_first_channel)], ids=["8-bit", "16-bit"]
)
def test_truncated_label_is_named(
    fixture: str, read: Callable[[Path], RawIds], share: int, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(fixture)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * share // 100])
    with pytest.raises(DataError, match=rf"label {path} (cannot be read|holds no pixels)"):
        read(path)


@pytest.mark.parametrize("read", [read_ids, read_ids_of_first_channel])
def test_missing_label_is_named(read: Callable[[Path], RawIds], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"label {tmp_path}/none.png cannot be read"):
        read(tmp_path / "none.png")


def test_changed_byte_in_a_16bit_label_is_noticed(file_16bit: Path) -> None:
    content = bytearray(file_16bit.read_bytes())
    content[60] ^= 0xFF
    file_16bit.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_ids_of_first_channel(file_16bit)


def test_colours_are_refused_where_ids_are_expected(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "label.png")
    with pytest.raises(DataError, match=r"label.png has mode RGB; expected one 8-bit channel of label ids"):
        read_ids(tmp_path / "label.png")


def test_8bit_colours_are_refused_where_16_bits_are_expected(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "label.png")
    with pytest.raises(DataError, match=r"label.png holds rgb24 pixels; expected rgb48be"):
        read_ids_of_first_channel(tmp_path / "label.png")


def test_missing_pyav_is_told_with_the_extra_to_install(file_16bit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=rf"label {file_16bit} .* needs PyAV: pip install 'iapc\[video\]'"):
        read_ids_of_first_channel(file_16bit)


# Mapping


@pytest.mark.parametrize(
    ("names", "raw_ids", "published"),
    [
        (CITYSCAPES_NAMES, [*range(34), 255], CITYSCAPES_PUBLISHED),
        (GTA5_NAMES, [*range(35)], CITYSCAPES_PUBLISHED),
        (SYNTHIA_NAMES, [*range(23)], SYNTHIA_PUBLISHED),
    ],
    ids=["cityscapes", "gta5", "synthia"],
)
def test_every_id_has_its_published_train_id(
    names: Mapping[int, str | None], raw_ids: list[int], published: Mapping[int, int]
) -> None:
    table = id_table(names, LABEL_SPACES["cityscapes19"])
    assert np.flatnonzero(table >= 0).tolist() == raw_ids
    assert [int(table[raw_id]) for raw_id in raw_ids] == [published.get(raw_id, IGNORE_INDEX) for raw_id in raw_ids]


def test_every_camvid_id_is_a_class_of_its_own_space() -> None:
    table = id_table(CAMVID_NAMES, LABEL_SPACES["camvid11"])
    assert np.flatnonzero(table >= 0).tolist() == [*range(12)]
    assert table[:12].tolist() == [*range(11), IGNORE_INDEX]


def test_train_ids_take_the_place_of_raw_ids() -> None:
    table = id_table({3: "road", 300: "sky", 7: None}, LABEL_SPACES["cityscapes19"])
    train_ids = train_ids_of(np.array([[3, 300], [7, 3]], dtype=np.uint16), table, "test")
    assert train_ids.dtype == np.uint8
    assert train_ids.tolist() == [[0, 10], [IGNORE_INDEX, 0]]


def test_unknown_ids_are_told_with_their_pixels_and_the_valid_ids() -> None:
    table = id_table({0: None, 1: "road", 2: "sky", 9: "car"}, LABEL_SPACES["cityscapes19"])
    with pytest.raises(DataError, match=r"label a.png holds unknown label ids: 3 \(2 pixels\), 259 \(1 pixels\);") as e:
        train_ids_of(np.array([[3, 1, 3], [259, 9, 0]], dtype=np.uint16), table, Path("a.png"))
    assert "expected 0-2, 9; check that the layout, and `ids`" in str(e.value)
