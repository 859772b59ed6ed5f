"""Public data sets as they are downloaded: splits without labels, frames to leave out, and ids mapped at full size."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import ConfigError, DataError
from runtime.labels import LABEL_SPACES, id_table
from training.data.config import CityscapesConfig, FolderConfig, Gta5Config
from training.data.label_ids import CITYSCAPES_NAMES
from training.data.label_maps import RawIds, train_ids_of
from training.data.open import open_frames, open_labelled_frames

SPACE = LABEL_SPACES["cityscapes19"]


@pytest.fixture
def gta5(tmp_path: Path) -> Path:
    """Three frames, of which the second has a label of another size, as some of the download have."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number, label_hw in ((1, (4, 6)), (2, (4, 5)), (3, (4, 6))):
        Image.new("RGB", (6, 4)).save(tmp_path / f"images/{number:05d}.png")
        Image.fromarray(np.full(label_hw, 7, dtype=np.uint8)).save(tmp_path / f"labels/{number:05d}.png")
    return tmp_path


def test_excluded_frame_is_gone_with_its_label_and_the_others_keep_theirs(gta5: Path) -> None:
    config = Gta5Config(layout="gta5", root=gta5, exclude=("images/00002.png",))
    frames = open_labelled_frames(config, SPACE)
    assert [frames.name(index) for index in range(len(frames))] == ["images/00001.png", "images/00003.png"]
    assert [frames.label(index).tolist() for index in range(2)] == [[[0] * 6] * 4] * 2
    assert len(open_frames(config)) == 2


def test_frame_without_a_label_file_can_be_excluded(gta5: Path) -> None:
    (gta5 / "labels/00002.png").unlink()
    config = Gta5Config(layout="gta5", root=gta5, exclude=("images/00002.png",))
    assert len(open_labelled_frames(config, SPACE)) == 2


def test_excluding_a_frame_that_is_not_there_is_refused(gta5: Path) -> None:
    with pytest.raises(DataError, match=r"exclude names '00002.png', .* names look like 'images/00001.png'"):
        open_frames(Gta5Config(layout="gta5", root=gta5, exclude=("00002.png",)))


def test_excluding_every_frame_is_refused(gta5: Path) -> None:
    with pytest.raises(DataError, match="exclude names all 3 frames"):
        open_frames(
            FolderConfig(layout="folder", root=gta5 / "images", exclude=("00001.png", "00002.png", "00003.png"))
        )


@pytest.mark.parametrize("split", ["test", "train_extra"])
def test_cityscapes_split_without_fine_labels_opens_unlabelled_alone(split: str, tmp_path: Path) -> None:
    for folder, name in ((f"leftImg8bit/{split}/ulm", "leftImg8bit"), (f"gtFine/{split}/ulm", "gtFine_labelIds")):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("L", (6, 4), 3).save(tmp_path / folder / f"ulm_000000_000019_{name}.png")
    config = CityscapesConfig.model_validate({"layout": "cityscapes", "root": tmp_path, "split": split})
    assert open_frames(config).image(0).shape == (4, 6, 3)
    with pytest.raises(ConfigError, match=rf"no fine labels for split {split} .*; use train or val"):
        open_labelled_frames(config, SPACE)


@given(arrays.arrays(np.uint8, (3, 5), elements=st.sampled_from([*range(34), 255])))
def test_eight_and_sixteen_bit_ids_have_the_same_train_ids(ids: NDArray[np.uint8]) -> None:
    table = id_table(CITYSCAPES_NAMES, SPACE)
    narrow, wide = train_ids_of(ids, table, "a"), train_ids_of(ids.astype(np.uint16), table, "a")
    assert narrow.dtype == wide.dtype == np.uint8
    assert np.array_equal(narrow, wide)
    assert np.array_equal(train_ids_of(ids.T, table, "a"), narrow.T)
    narrow[0, 0] = 9  # a map of its own that may be written, not a view of the table or the file


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_without_a_meaning_are_refused_in_either_width(dtype: type) -> None:
    ids: RawIds = np.array([[7, 34], [254, 255]], dtype=dtype)
    with pytest.raises(DataError, match=r"34 \(1 pixels\), 254 \(1 pixels\)"):
        train_ids_of(ids, id_table(CITYSCAPES_NAMES, SPACE), "a")


def test_a_space_may_have_the_class_that_marks_undefined_ids() -> None:
    table = np.full(65536, -1, dtype=np.int16)
    table[3] = 254
    assert train_ids_of(np.array([[3]], dtype=np.uint8), table, "a").tolist() == [[254]]
