"""Which frames a folder holds: known by names and sizes, whenever they were written and wherever the folder lies."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.config import validated
from runtime.errors import DataError
from runtime.labels import LABEL_SPACES
from training.data.config import CamvidConfig, FolderConfig, StreetsConfig
from training.data.files import ImageFiles, LabelledFiles, files_digest
from training.data.frames import Frames
from training.data.layouts import folder_images
from training.data.open import described, identified, open_frames, open_labelled_frames

SPACE = LABEL_SPACES["camvid11"]
NAMES = ("a.png", "b.png", "drive/a.png")


def write_noise(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    side = 8 + number
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write_noise(tmp_path / "frames" / name, number)
    return tmp_path / "frames"


def digest_of(folder: Path) -> str:
    return files_digest(folder_images(folder))


def test_copied_frames_are_the_same_whenever_they_were_written(folder: Path, tmp_path: Path) -> None:
    before = digest_of(folder)
    shutil.copytree(folder, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.png"):
        os.utime(path, (1, 1))
    assert digest_of(tmp_path / "copy") == before


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "moved", "replaced", "exchanged"])
def test_other_frames_are_told_apart(folder: Path, change: str) -> None:
    before = digest_of(folder)
    match change:
        case "added":
            write_noise(folder / "c.png", 9)
        case "removed":
            (folder / "a.png").unlink()
        case "renamed":
            (folder / "b.png").rename(folder / "c.png")
        case "moved":
            (folder / "b.png").rename(folder / "drive/b.png")
        case "replaced":
            write_noise(folder / "b.png", 9)
        case _:
            (folder / "a.png").rename(folder / "c")
            (folder / "b.png").rename(folder / "a.png")
            (folder / "c").rename(folder / "b.png")
    assert digest_of(folder) != before


def test_order_of_a_list_counts(folder: Path) -> None:
    images = folder_images(folder)
    assert files_digest(ImageFiles(folder, images.paths[::-1])) != files_digest(images)


def plant_labelled(root: Path) -> CamvidConfig:
    for path in ("train/a.png", "trainannot/a.png"):
        (root / path).parent.mkdir(parents=True)
        Image.new("L", (6, 4)).convert("RGB" if path.startswith("train/") else "L").save(root / path)
    (root / "splits").mkdir()
    (root / "splits/day.txt").write_text("train/a.png\n")
    return validated(CamvidConfig, {"layout": "camvid", "root": root, "split": "day"}, place="test")


def test_label_maps_count_where_labels_are_opened(tmp_path: Path) -> None:
    config = plant_labelled(tmp_path)

    def both() -> tuple[dict[str, Any], dict[str, Any]]:
        return identified(config, open_frames(config)), identified(config, open_labelled_frames(config, SPACE))

    plain, labelled = both()
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6) % 11
    Image.fromarray(labels).save(tmp_path / "trainannot/a.png")
    after_plain, after_labelled = both()
    assert after_plain == plain
    assert after_labelled != labelled
    assert after_labelled["root"] == str(tmp_path)


def test_rendered_streets_are_what_their_config_says() -> None:
    values = {"layout": "streets", "domain": "target", "first": 3, "count": 2, "height": 64, "width": 128}
    config = validated(StreetsConfig, values, place="test")
    assert identified(config, open_frames(config)) == values
    assert described(config, open_frames(config)) == {**values, "num_frames": 2}


def test_frames_of_a_network_file_are_told_with_how_many_they_are(folder: Path) -> None:
    config = FolderConfig(layout="folder", root=folder, exclude=("a.png",))
    told = described(config, open_frames(config))
    assert (told["layout"], told["num_frames"], len(told["digest"])) == ("folder", 2, 16)
    assert told["digest"] != digest_of(folder)


def test_file_that_is_gone_is_named(folder: Path) -> None:
    images = folder_images(folder)
    (folder / "b.png").unlink()
    with pytest.raises(DataError, match=r"frames/b\.png cannot be read .*restore the file"):
        files_digest(images)


# Sizes


def test_size_is_known_without_the_pixels(folder: Path) -> None:
    content = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(content[:60])
    images = folder_images(folder)
    assert [images.hw(index) for index in range(3)] == [(8, 8), (9, 9), (10, 10)]
    with pytest.raises(DataError):
        images.image(1)


def test_size_of_every_kind_of_frames_is_that_of_the_image(folder: Path, tmp_path: Path) -> None:
    for suffix in (".jpg", ".bmp", ".tif", ".webp"):
        Image.new("RGB", (12, 5)).save(folder / f"other{suffix}")
    # A camera held upright says so in the file; nothing turns the pixels.
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (12, 5)).save(folder / "turned.jpg", exif=turned)
    streets = StreetsConfig(layout="streets", domain="source", first=0, count=1, height=32, width=64)
    config = plant_labelled(tmp_path / "camvid")
    labelled = open_labelled_frames(config, SPACE)
    assert isinstance(labelled, LabelledFiles)
    kinds: list[Frames] = [
        folder_images(folder),
        open_frames(streets),
        open_labelled_frames(streets, LABEL_SPACES["cityscapes19"]),
        labelled,
    ]
    for frames in kinds:
        for index in range(len(frames)):
            assert frames.hw(index) == frames.image(index).shape[:2], frames.name(index)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_file_without_a_size_is_named(folder: Path, content: bytes) -> None:
    (folder / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"image .*a\.png cannot be read"):
        folder_images(folder).hw(0)
