"""Labels of the user's own: a folder of images, a folder of label maps, and what each id means."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.config import validated
from runtime.errors import ConfigError, DataError
from runtime.labels import IGNORE_INDEX, LabelSpace
from training.data.config import LabelledFolderConfig
from training.data.open import label_names, open_frames, open_labelled_frames

SPACE = LabelSpace.model_validate({"classes": ["road", "sky", "person"], "merges": {"rider": "person"}})
IDS = {7: "road", 23: "sky", 24: "person", 25: "rider", 9: "parking", 0: None}
NAMES = ("a/1.jpg", "b.png")


def plant(folder: Path, pixels: list[list[int]], **settings: Any) -> LabelledFolderConfig:
    """Two images of 2 x 3 pixels, one of them in a folder below, with the same label map each."""
    for name in NAMES:
        image, label = folder / "images" / name, (folder / "labels" / name).with_suffix(".png")
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(image)
        Image.fromarray(np.array(pixels, dtype=np.uint8)).save(label)
    return configured(root=folder / "images", labels=folder / "labels", **settings)


def write_grey(path: Path, bits: int) -> None:
    """A grey PNG of 2 x 3 pixels of id 1 in fewer bits than Pillow writes."""
    row = b"\0" + np.packbits([int(bit) for bit in f"{1:0{bits}b}" * 3]).tobytes()
    header = struct.pack(">IIBBBBB", 3, 2, bits, 0, 0, 0, 0)
    content = {b"IHDR": header, b"IDAT": zlib.compress(row * 2), b"IEND": b""}
    chunks = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in content.items()]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def configured(**settings: Any) -> LabelledFolderConfig:
    return validated(LabelledFolderConfig, {"layout": "labelled_folder", **settings}, place="run.yaml")


def test_ids_lead_to_classes_by_name(tmp_path: Path) -> None:
    frames = open_labelled_frames(plant(tmp_path, [[7, 23, 24], [25, 9, 0]], ids=IDS), SPACE)
    assert [frames.name(index) for index in range(len(frames))] == list(NAMES)
    for index in range(2):
        assert frames.image(index).shape == (2, 3, 3)
        assert frames.label(index).tolist() == [[0, 1, 2], [2, IGNORE_INDEX, IGNORE_INDEX]]


def test_without_names_ids_are_train_ids(tmp_path: Path) -> None:
    config = plant(tmp_path, [[0, 1, 2], [255, 0, 0]])
    assert label_names(config, SPACE) == {0: "road", 1: "sky", 2: "person", 255: None}
    assert open_labelled_frames(config, SPACE).label(0).tolist() == [[0, 1, 2], [IGNORE_INDEX, 0, 0]]


@pytest.mark.parametrize(("ids", "expected"), [(IDS, "expected 0, 7, 9, 23-25"), (None, "expected 0-2, 255")])
def test_id_of_no_class_is_named_with_those_that_are(tmp_path: Path, ids: Any, expected: str) -> None:
    frames = open_labelled_frames(plant(tmp_path, [[77, 77, 0], [0, 0, 0]], ids=ids), SPACE)
    with pytest.raises(DataError, match=rf"labels/a/1.png holds unknown label ids: 77 \(2 pixels\); {expected}"):
        frames.label(0)


def test_image_without_a_label_map_is_named(tmp_path: Path) -> None:
    config = plant(tmp_path, [[0, 0, 0], [0, 0, 0]])
    (tmp_path / "labels/b.png").unlink()
    with pytest.raises(DataError, match=r"images/b.png has no label file; expected .*labels/b.png \(1 of 2 frames"):
        open_labelled_frames(config, SPACE)


def test_label_folder_beside_the_images_is_found_through_their_folder(tmp_path: Path) -> None:
    plant(tmp_path, [[0, 0, 0], [0, 0, 0]])
    config = configured(root=tmp_path / "images", labels=tmp_path / "images/../labels")
    assert open_labelled_frames(config, SPACE).label(0).shape == (2, 3)


def test_label_folder_that_a_link_puts_below_the_images_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, [[0, 0, 0], [0, 0, 0]])
    (tmp_path / "all").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="lies below root"):
        configured(root=tmp_path / "all", labels=tmp_path / "labels")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_label_map_of_fewer_bits_is_refused_and_not_stretched(tmp_path: Path, bits: int) -> None:
    config = plant(tmp_path, [[0, 0, 0], [0, 0, 0]])
    write_grey(tmp_path / "labels/b.png", bits)
    with pytest.raises(
        DataError,
        match=r"labels/b.png (is a grey PNG stored as L;[24]; expected 8 bits|has mode 1; expected one 8-bit)",
    ):
        open_labelled_frames(config, SPACE).label(1)


def test_opened_unlabelled_it_needs_no_labels(tmp_path: Path) -> None:
    config = plant(tmp_path, [[0, 0, 0], [0, 0, 0]])
    (tmp_path / "labels").rename(tmp_path / "elsewhere")
    frames = open_frames(config)
    assert [frames.name(index) for index in range(len(frames))] == list(NAMES)
    assert [name for name in dir(frames) if "label" in name] == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"root": "mine", "labels": "mine/labels"},
            "labels=mine/labels lies below root=mine, so label maps would count",
        ),
        ({"root": "mine", "labels": "other/../mine/labels"}, "lies below root=mine"),
        ({"root": "mine", "labels": "mine"}, "labels=mine lies below root=mine"),
        ({"root": "mine", "labels": "other", "ids": {256: "road"}}, "less than or equal to 255"),
        ({"root": "mine", "labels": "other", "ids": {}}, "at least 1"),
        ({"root": "mine"}, "labels: Field required"),
    ],
)
def test_config_that_cannot_be_meant_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        configured(**settings)
