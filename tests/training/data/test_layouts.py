"""Finding frames on disk: lists, folders, and what is told where they are not as expected."""

from pathlib import Path

import pytest
from PIL import Image

from runtime.errors import DataError
from training.data.layouts import camvid_images, cityscapes_images, folder_images, gta5_images, synthia_images


def touch_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2)).save(path)


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    touch_image(tmp_path / "train/a.jpg")
    touch_image(tmp_path / "train/b.png")
    (tmp_path / "splits").mkdir()
    return tmp_path


def test_split_list_keeps_its_order_and_finds_either_suffix(camvid: Path) -> None:
    (camvid / "splits/day.txt").write_text("train/b.jpg\n\ntrain/a.png \n")
    assert camvid_images(camvid, "day").paths == (camvid / "train/b.png", camvid / "train/a.jpg")


def test_listed_suffix_comes_first_where_both_exist(camvid: Path) -> None:
    touch_image(camvid / "train/a.png")
    (camvid / "splits/day.txt").write_text("train/a.png\n")
    assert camvid_images(camvid, "day").paths == (camvid / "train/a.png",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", r"is empty; expected one frame path"),
        (b"\xff\xfe\x00", r"cannot be read"),
        (b"train/a.jpg\ntrain/c.jpg\n", r"names 1 frames of 2 that .* first train/c.jpg; .* in .jpg or .png"),
    ],
    ids=["empty", "not text", "missing frame"],
)
def test_damaged_split_list_is_named(content: bytes, message: str, camvid: Path) -> None:
    (camvid / "splits/day.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"split list {camvid}/splits/day.txt {message}"):
        camvid_images(camvid, "day")


def test_listed_frame_outside_the_root_is_refused(camvid: Path) -> None:
    (camvid / "data/splits").mkdir(parents=True)
    (camvid / "data/splits/day.txt").write_text(f"{camvid}/train/a.jpg\n")
    with pytest.raises(DataError, match=rf"the first {camvid}/train/a.jpg; expected it below {camvid}/data,"):
        camvid_images(camvid / "data", "day")


def test_unknown_split_is_told_with_the_lists_that_exist(camvid: Path) -> None:
    (camvid / "splits/day.txt").write_text("train/a.jpg\n")
    (camvid / "splits/dusk.txt").write_text("train/a.jpg\n")
    with pytest.raises(DataError, match=r"splits/night.txt does not exist; lists found there: day, dusk"):
        camvid_images(camvid, "night")


def test_cityscapes_split_chooses_the_folder(tmp_path: Path) -> None:
    for split, city in (("train", "jena"), ("val", "ulm")):
        touch_image(tmp_path / f"leftImg8bit/{split}/{city}/{city}_01_leftImg8bit.png")
    assert [path.parent.name for path in cityscapes_images(tmp_path, "train").paths] == ["jena"]
    assert [path.parent.name for path in cityscapes_images(tmp_path, "val").paths] == ["ulm"]


def test_root_without_frames_is_named(tmp_path: Path) -> None:
    message = rf"data root {tmp_path} holds no frame; expected "
    with pytest.raises(DataError, match=message + r"leftImg8bit/val/\*/\*_leftImg8bit.png below it"):
        cityscapes_images(tmp_path, "val")
    with pytest.raises(DataError, match=message + r"images/\*.png below it"):
        gta5_images(tmp_path)
    with pytest.raises(DataError, match=message + r"RGB/\*.png below it"):
        synthia_images(tmp_path)


def test_folder_finds_images_of_all_kinds_at_every_depth(tmp_path: Path) -> None:
    touch_image(tmp_path / "drive2/night/b.jpg")
    touch_image(tmp_path / "drive1/a.png")
    (tmp_path / "drive1/notes.txt").write_text("rain")
    frames = folder_images(tmp_path)
    assert [frames.name(index) for index in range(len(frames))] == ["drive1/a.png", "drive2/night/b.jpg"]


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"image folder {tmp_path} holds no image"):
        folder_images(tmp_path)
