"""Frames on disk: every layout on a tiny tree, what opening them unlabelled leaves alone, and every error."""

import pickle
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from runtime.errors import ConfigError, DataError
from runtime.labels import IGNORE_INDEX, LABEL_SPACES
from training.data.config import FolderConfig, FramesConfig
from training.data.open import open_frames, open_labelled_frames

Ids = list[list[int]]
SPACE = LABEL_SPACES["cityscapes19"]


def write_image(path: Path, hw: tuple[int, int] = (2, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (hw[1], hw[0]), (10, 20, 30)).save(path)


def write_grey(path: Path, ids: Ids) -> None:
    Image.fromarray(np.array(ids, dtype=np.uint8)).save(path)


def write_palette(path: Path, ids: Ids) -> None:
    image = Image.fromarray(np.array(ids, dtype=np.uint8))
    image.putpalette([255 - value // 3 for value in range(768)])
    image.save(path)


def write_16bit(path: Path, ids: Ids) -> None:
    """SYNTHIA's form: 16-bit RGB with class ids in the first channel and instances in the second."""
    pixels = np.zeros((len(ids), len(ids[0]), 3), dtype=">u2")
    pixels[..., 0], pixels[..., 1] = ids, 40_000
    header = struct.pack(">IIBBBBB", len(ids[0]), len(ids), 16, 2, 0, 0, 0)
    content = {b"IHDR": header, b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)), b"IEND": b""}
    chunks = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in content.items()]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@dataclass(frozen=True)
class Tree:
    """Two frames of 2 x 3 pixels in one layout; frame 1's label is all void."""

    settings: dict[str, str]
    images: tuple[str, str]
    labels: tuple[str, str]
    write_label: Callable[[Path, Ids], None]
    ids: Ids
    void_id: int

    @property
    def label_folder(self) -> str:
        return self.labels[0].split("/")[0]

    def plant(self, root: Path) -> FramesConfig:
        for image, label, ids in zip(self.images, self.labels, (self.ids, [[self.void_id] * 3] * 2), strict=True):
            write_image(root / image)
            (root / label).parent.mkdir(parents=True, exist_ok=True)
            self.write_label(root / label, ids)
        if "camvid" in self.settings.values():
            (root / "splits").mkdir()
            # The list names JPEG frames; the usual download has PNG.
            (root / "splits/day_train.txt").write_text("train/b.jpg\ntrain/a.jpg\n\n")
        adapter: TypeAdapter[FramesConfig] = TypeAdapter(FramesConfig)
        return adapter.validate_python({**self.settings, "root": root})


TREES = {
    "camvid": Tree(
        {"layout": "camvid", "split": "day_train"},
        ("train/b.png", "train/a.jpg"),
        ("trainannot/b.png", "trainannot/a.png"),
        write_grey,
        [[0, 4, 5], [6, 10, 11]],
        void_id=11,
    ),
    "cityscapes": Tree(
        {"layout": "cityscapes", "split": "val"},
        ("leftImg8bit/val/bonn/bonn_01_leftImg8bit.png", "leftImg8bit/val/ulm/ulm_01_leftImg8bit.png"),
        ("gtFine/val/bonn/bonn_01_gtFine_labelIds.png", "gtFine/val/ulm/ulm_01_gtFine_labelIds.png"),
        write_grey,
        [[7, 33, 25], [29, 0, 22]],
        void_id=255,
    ),
    "gta5": Tree(
        {"layout": "gta5"},
        ("images/00001.png", "images/00002.png"),
        ("labels/00001.png", "labels/00002.png"),
        write_palette,
        [[7, 33, 25], [29, 0, 22]],
        void_id=34,
    ),
    "synthia": Tree(
        {"layout": "synthia"},
        ("RGB/0000000.png", "RGB/0000001.png"),
        ("GT/LABELS/0000000.png", "GT/LABELS/0000001.png"),
        write_16bit,
        [[3, 21, 16], [17, 22, 11]],
        void_id=0,
    ),
}


@pytest.fixture(params=sorted(TREES))
def tree(request: pytest.FixtureRequest) -> Tree:
    return TREES[request.param]


# Names, images, labels


def test_frames_have_a_fixed_order_and_are_named_by_their_path(tree: Tree, tmp_path: Path) -> None:
    frames = open_frames(tree.plant(tmp_path))
    assert tuple(frames.name(index) for index in range(len(frames))) == tree.images


def test_labelled_frames_are_the_same_frames(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    assert tuple(frames.name(index) for index in range(len(frames))) == tree.images
    image = frames.image(0)
    assert image.dtype == np.uint8
    assert image.shape == (2, 3, 3)
    assert np.abs(image.astype(int) - [10, 20, 30]).max() <= 2  # JPEG is not exact


def names_of(label: NDArray[np.uint8], space: str) -> list[list[str]]:
    """Class names of a label map; a dash marks ignored pixels."""
    names = LABEL_SPACES[space].names
    return [["-" if train_id == IGNORE_INDEX else names[train_id] for train_id in row] for row in label]


CAMVID_SHARED = [["sky", "sidewalk", "vegetation"], ["traffic sign", "-", "-"]]
LABEL_IDS_19 = [["road", "bicycle", "rider"], ["-", "-", "terrain"]]
LABEL_IDS_16 = [["road", "bicycle", "rider"], ["-", "-", "-"]]
LABEL_IDS_11 = [["road", "bicyclist", "bicyclist"], ["-", "-", "-"]]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("camvid", [CAMVID_SHARED] * 3 + [[CAMVID_SHARED[0], ["traffic sign", "bicyclist", "-"]]]),
        ("cityscapes", [LABEL_IDS_19, LABEL_IDS_16, LABEL_IDS_16, LABEL_IDS_11]),
        ("gta5", [LABEL_IDS_19, LABEL_IDS_16, LABEL_IDS_16, LABEL_IDS_11]),
        (
            "synthia",
            [
                [["road", "wall", "terrain"], ["rider", "-", "bicycle"]],
                [["road", "wall", "-"], ["rider", "-", "bicycle"]],
                [["road", "-", "-"], ["rider", "-", "bicycle"]],
                [["road", "-", "-"], ["bicyclist", "-", "bicyclist"]],
            ],
        ),
    ],
)
def test_label_ids_map_by_class_name(layout: str, expected: list[list[list[str]]], tmp_path: Path) -> None:
    config = TREES[layout].plant(tmp_path)
    for space, names in zip(("cityscapes19", "synthia16", "synthia13", "camvid11"), expected, strict=True):
        frames = open_labelled_frames(config, LABEL_SPACES[space])
        assert names_of(frames.label(0), space) == names
        assert names_of(frames.label(1), space) == [["-"] * 3] * 2


def test_frames_travel_to_loader_processes(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    assert np.array_equal(pickle.loads(pickle.dumps(frames)).label(0), frames.label(0))


# Source-free: what is opened without labels never goes near them


def test_unlabelled_frames_open_where_there_are_no_labels(tree: Tree, tmp_path: Path) -> None:
    config = tree.plant(tmp_path)
    (tmp_path / tree.label_folder).rename(tmp_path / "elsewhere")
    frames = open_frames(config)
    assert frames.image(len(frames) - 1).shape == (2, 3, 3)


def test_unlabelled_frames_open_where_labels_cannot_be_read(tree: Tree, tmp_path: Path) -> None:
    config = tree.plant(tmp_path)
    (tmp_path / tree.label_folder).rename(tmp_path / "elsewhere")
    # A loop: unreadable to every user, root included.
    (tmp_path / tree.label_folder).symlink_to(tree.label_folder)
    frames = open_frames(config)
    assert frames.image(len(frames) - 1).shape == (2, 3, 3)


class Watch:
    """Paths that this process opens or lists while the watch is on; an audit hook cannot be taken off again."""

    def __init__(self) -> None:
        self.is_on = False
        self.paths: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and event in ("open", "os.listdir", "os.scandir"):
            self.paths.append(str(arguments[0]))


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.is_on = False


def test_unlabelled_frames_open_and_list_nothing_of_the_labels(tree: Tree, tmp_path: Path, watch: Watch) -> None:
    config = tree.plant(tmp_path)
    watch.paths.clear()
    watch.is_on = True
    frames = open_frames(config)
    for index in range(len(frames)):
        frames.image(index)
    watch.is_on = False
    assert str(tmp_path / tree.images[1]) in watch.paths
    assert [path for path in watch.paths if path.startswith(str(tmp_path / tree.label_folder))] == []


def test_unlabelled_frames_have_no_way_to_a_label(tree: Tree, tmp_path: Path) -> None:
    assert [name for name in dir(open_frames(tree.plant(tmp_path))) if "label" in name] == []


def test_folder_has_no_labels_to_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layout folder .* has no labels; use layout labelled_folder"):
        open_labelled_frames(FolderConfig(layout="folder", root=tmp_path), SPACE)


# Errors


def test_missing_root_is_named_with_the_layout_expected_there(tree: Tree, tmp_path: Path) -> None:
    config = tree.plant(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=rf"{tmp_path}/data is not a folder; expected \w+/.*\.png"):
        open_frames(config)


def test_frame_without_a_label_file_is_named_when_opened(tree: Tree, tmp_path: Path) -> None:
    config = tree.plant(tmp_path)
    image, label = tmp_path / tree.images[1], tmp_path / tree.labels[1]
    label.unlink()
    with pytest.raises(DataError, match=rf"image {image} has no label file; expected {label} \(1 of 2 frames"):
        open_labelled_frames(config, SPACE)


def test_truncated_image_and_label_are_named(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    image, label = tmp_path / tree.images[0], tmp_path / tree.labels[0]
    label.write_bytes(label.read_bytes()[:45])
    with pytest.raises(DataError, match=rf"label {label} cannot be read"):
        frames.label(0)
    image.write_bytes(image.read_bytes()[:45])
    with pytest.raises(DataError, match=rf"image {image} cannot be read"):
        frames.image(0)


def test_unreadable_image_is_named_when_its_label_is_read(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    (tmp_path / tree.images[0]).write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"image {tmp_path / tree.images[0]} cannot be read"):
        frames.label(0)


def test_label_of_another_size_than_its_image_is_refused(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    image, label = tmp_path / tree.images[0], tmp_path / tree.labels[0]
    write_image(image, (4, 5))
    with pytest.raises(DataError, match=rf"label {label} is 2x3 pixels .* its image {image} is 4x5"):
        frames.label(0)


def test_unknown_label_id_is_named(tree: Tree, tmp_path: Path) -> None:
    frames = open_labelled_frames(tree.plant(tmp_path), SPACE)
    tree.write_label(tmp_path / tree.labels[0], [[77, 77, 1], [1, 1, 1]])
    with pytest.raises(DataError, match=rf"label {tmp_path / tree.labels[0]} holds unknown label ids: 77 \(2 pixels\)"):
        frames.label(0)
