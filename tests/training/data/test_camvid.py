"""The real CamVid, where it lies."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from runtime.labels import IGNORE_INDEX, LABEL_SPACES
from training.data.config import CamvidConfig
from training.data.open import open_frames, open_labelled_frames

ROOT = Path(__file__).parents[3].parent / "shared/data/camvid"
SPACE = LABEL_SPACES["camvid11"]
SPLIT_SIZES = {"day_train": 379, "day_val": 97, "dusk_adapt": 56, "dusk_test": 62}

pytestmark = [pytest.mark.data, pytest.mark.skipif(not ROOT.is_dir(), reason=f"the CamVid frames are not at {ROOT}")]


def config_of(split: str) -> CamvidConfig:
    return CamvidConfig(layout="camvid", root=ROOT, split=split)


@pytest.mark.parametrize("split", sorted(SPLIT_SIZES))
def test_split_has_its_published_size_and_labels_of_all_classes(split: str) -> None:
    frames = open_labelled_frames(config_of(split), SPACE)
    assert len(frames) == SPLIT_SIZES[split]
    found = {int(train_id) for index in range(len(frames)) for train_id in np.unique(frames.label(index))}
    assert found == {*range(11), IGNORE_INDEX}


def test_label_lies_on_its_image() -> None:
    frames = open_labelled_frames(config_of("day_val"), SPACE)
    image, is_sky = frames.image(0), frames.label(0) == SPACE.train_id("sky")
    assert image.shape == (360, 480, 3)
    assert image[is_sky].mean() > 1.5 * image[~is_sky].mean()


def test_no_frame_is_in_two_splits_and_only_dusk_is_dusk() -> None:
    opened = {split: open_frames(config_of(split)) for split in SPLIT_SIZES}
    names = {split: {frames.name(index) for index in range(len(frames))} for split, frames in opened.items()}
    assert not any(one & other for one, other in itertools.combinations(names.values(), 2))
    for split, members in names.items():
        assert {"0001TP" in name for name in members} == {split.startswith("dusk")}
