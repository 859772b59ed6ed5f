from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError
from runtime.images import image_files, read_image, write_png


def test_png_round_trips_in_colour_and_grey(tmp_path: Path) -> None:
    colour = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    write_png(tmp_path / "colour.png", colour)
    np.testing.assert_array_equal(read_image(tmp_path / "colour.png"), colour)
    write_png(tmp_path / "grey.png", colour[..., 1])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(colour[..., 1:2], 3, axis=2))
    with Image.open(tmp_path / "grey.png") as grey:
        assert grey.mode == "L"


def test_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"street\.png does not exist"):
        read_image(tmp_path / "street.png")


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "street.png").write_bytes(content)
    with pytest.raises(DataError, match=r"street\.png cannot be read"):
        read_image(tmp_path / "street.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_truncated_image_is_named_in_the_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"street{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"street\{suffix} cannot be read"):
        read_image(path)


@pytest.mark.parametrize(
    ("suffix", "offset", "value"),
    [
        (".png", 35, 0),  # length of the first IDAT chunk
        (".bmp", 21, 255),  # width: beyond what Pillow agrees to unpack
        (".tif", 72, 5),  # type of a tag
    ],
)
def test_image_with_one_changed_byte_is_named_in_the_error(
    tmp_path: Path, suffix: str, offset: int, value: int
) -> None:
    path = tmp_path / f"street{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[offset] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"street\{suffix} cannot be read"):
        read_image(path)


def test_image_files_are_sorted_and_other_files_left_out(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/0.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert image_files(tmp_path) == [tmp_path / "a.png", tmp_path / "b" / "0.JPG"]


def test_folder_without_images_is_named_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no image; expected files ending in \.png"):
        image_files(tmp_path)
    with pytest.raises(DataError, match="nowhere does not exist"):
        image_files(tmp_path / "nowhere")
