import io
import struct
import zlib
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


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(colour_type: int, bits: int, row: bytes, width: int = 1) -> bytes:
    """A PNG of one row, by the specification: Pillow writes few of the forms that it reads."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


def saved(mode: str, pixel: float | tuple[int, ...], suffix: str) -> bytes:
    content = io.BytesIO()
    Image.new(mode, (2, 2), pixel).save(content, format=suffix)
    return content.getvalue()


def palette(suffix: str) -> bytes:
    image, content = Image.new("P", (2, 2), 1), io.BytesIO()
    image.putpalette([9, 9, 9, 10, 20, 30])
    image.save(content, format=suffix)
    return content.getvalue()


def planar_tiff(bits: int) -> bytes:
    """One pixel 1, 2, 3 of the bits given, each channel in a plane of its own, uncompressed."""
    size = bits // 8
    pixels = b"".join(value.to_bytes(size, "little") for value in (1, 2, 3))
    three = {258: (bits, bits, bits), 273: (8, 8 + size, 8 + 2 * size), 279: (size, size, size)}
    ones = {256: 1, 257: 1, 259: 1, 262: 2, 277: 3, 278: 1, 284: 2}
    lists = 8 + len(pixels)
    tags = {tag: struct.pack("<HHII", tag, 4, 3, lists + 12 * place) for place, tag in enumerate(three)}
    tags |= {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in ones.items()}
    content = pixels + b"".join(struct.pack("<3I", *values) for values in three.values())
    entries = b"".join(tags[tag] for tag in sorted(tags))
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (saved("1", 1, "PNG"), (255, 255, 255)),
        (saved("1", 1, "TIFF"), (255, 255, 255)),
        (saved("L", 100, "BMP"), (100, 100, 100)),
        (png(0, 2, b"\x40"), (85, 85, 85)),  # grey of two bits: 1 of 3
        (saved("LA", (100, 0), "PNG"), (100, 100, 100)),
        (saved("RGBA", (10, 20, 30, 0), "PNG"), (10, 20, 30)),
        (palette("PNG"), (10, 20, 30)),
        (palette("BMP"), (10, 20, 30)),
        (saved("CMYK", (0, 0, 0, 0), "TIFF"), (255, 255, 255)),
        (saved("CMYK", (0, 255, 255, 0), "TIFF"), (255, 0, 0)),
        (saved("CMYK", (0, 0, 0, 155), "JPEG"), (100, 100, 100)),
        (planar_tiff(8), (1, 2, 3)),
    ],
)
def test_image_of_at_most_8_bits_is_read_as_the_colours_it_has(
    tmp_path: Path, content: bytes, colour: tuple[int, int, int]
) -> None:
    (tmp_path / "street").write_bytes(content)
    assert read_image(tmp_path / "street")[0, 0].tolist() == list(colour)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (png(0, 16, b"\x01\x02"), "I;16"),
        (png(2, 16, b"\x01\x02\x80\xff\xff\xff"), "RGB of 16 bits a channel"),
        (png(4, 16, b"\x01\x02\xff\xff"), "[A-Z]+ of 16 bits a channel"),  # LA, which Pillow calls RGBA
        (png(6, 16, b"\x01\x02\x80\xff\xff\xff\xff\xff"), "RGBA of 16 bits a channel"),
        (saved("I;16", 1000, "TIFF"), "I;16"),
        (saved("I", 1000, "TIFF"), "I"),
        (saved("F", 0.5, "TIFF"), "F"),
        (planar_tiff(16), "RGB of 16 bits a channel"),
    ],
)
def test_image_of_more_bits_is_refused_instead_of_made_white_or_black(
    tmp_path: Path, content: bytes, mode: str
) -> None:
    (tmp_path / "street.png").write_bytes(content)
    with pytest.raises(
        DataError, match=rf"street\.png has mode {mode}; expected 8 bits a channel; convert it with the"
    ):
        read_image(tmp_path / "street.png")


def test_png_without_pixels_is_named_in_the_error(tmp_path: Path) -> None:
    content = png(2, 8, b"\0\0\0")
    (tmp_path / "street.png").write_bytes(content[: content.index(b"IDAT") - 4] + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"street\.png cannot be read"):
        read_image(tmp_path / "street.png")


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


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    """A fleet's folder of links to drives, which link among themselves; labels are looked for under the same names."""
    drives, fleet = tmp_path / "drives", tmp_path / "fleet"
    for name in ("north/1/a.png", "south/b.png", "south/c.txt"):
        (drives / name).parent.mkdir(parents=True, exist_ok=True)
        (drives / name).touch()
    fleet.mkdir()
    (fleet / "z.png").touch()
    (fleet / "monday").symlink_to(drives / "south")
    (fleet / "tuesday").symlink_to(drives / "north")
    (drives / "north" / "next").symlink_to(drives / "south")
    assert image_files(fleet) == [fleet / "monday" / "b.png", fleet / "tuesday" / "1" / "a.png", fleet / "z.png"]
    (tmp_path / "link").symlink_to(fleet)
    assert len(image_files(tmp_path / "link")) == 3


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "a.png").touch()
    (tmp_path / "drive" / "up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert image_files(tmp_path) == [tmp_path / "drive" / "a.png"]


def test_folder_that_a_link_leads_to_as_well_keeps_its_name_and_counts_once(tmp_path: Path) -> None:
    for name in ("2031-05-06", "2031-05-07"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    (tmp_path / "1st").symlink_to(tmp_path / "2031-05-06")
    assert image_files(tmp_path) == [tmp_path / "2031-05-06" / "a.png", tmp_path / "2031-05-07" / "a.png"]


def test_folder_named_as_an_image_is_none(tmp_path: Path) -> None:
    (tmp_path / "drive.png").mkdir()
    (tmp_path / "drive.png" / "a.png").touch()
    assert image_files(tmp_path) == [tmp_path / "drive.png" / "a.png"]


def test_folder_without_images_is_named_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no image; expected files ending in \.png"):
        image_files(tmp_path)
    with pytest.raises(DataError, match="nowhere does not exist"):
        image_files(tmp_path / "nowhere")
