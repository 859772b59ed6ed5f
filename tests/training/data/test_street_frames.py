"""Rendered streets as frames, and their config."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from runtime.labels import LABEL_SPACES
from training.data.config import CamvidConfig, FramesConfig, StreetsConfig
from training.data.open import open_frames, open_labelled_frames
from training.streets.render import render_frame

CITYSCAPES = LABEL_SPACES["cityscapes19"]
STREETS = StreetsConfig(layout="streets", domain="target", first=17, count=2, height=64, width=128)


def test_frames_are_named_by_domain_and_seed() -> None:
    frames = open_frames(STREETS)
    assert [frames.name(index) for index in range(len(frames))] == ["streets-target-000017", "streets-target-000018"]


def test_frames_are_rendered_from_their_seed_and_size() -> None:
    image, label = render_frame("target", 18, height=64, width=128)
    labelled = open_labelled_frames(STREETS, CITYSCAPES)
    assert len(labelled) == 2
    assert labelled.name(1) == "streets-target-000018"
    assert np.array_equal(open_frames(STREETS).image(1), image)
    assert np.array_equal(labelled.image(1), image)
    assert np.array_equal(labelled.label(1), label)


def test_writing_into_an_image_does_not_change_the_frame() -> None:
    frames = open_frames(STREETS)
    image = frames.image(0)
    unchanged = image.copy()
    image[:] = 0
    assert np.array_equal(frames.image(0), unchanged)


def test_labels_map_by_class_name() -> None:
    label = open_labelled_frames(STREETS, CITYSCAPES).label(0)
    camvid = LABEL_SPACES["camvid11"]
    is_road = open_labelled_frames(STREETS, camvid).label(0) == camvid.train_id("road")
    assert is_road.any()
    assert np.array_equal(is_road, label == CITYSCAPES.train_id("road"))


def test_frame_beyond_the_count_does_not_exist() -> None:
    with pytest.raises(IndexError):
        open_frames(STREETS).image(2)


def test_unlabelled_streets_have_no_way_to_a_label() -> None:
    assert [name for name in dir(open_frames(STREETS)) if "label" in name] == []


@pytest.mark.parametrize(
    "change",
    [{"layout": "kitti"}, {"count": 0}, {"first": -1}, {"height": 0}, {"domain": "night"}, {"limit": 3}],
    ids=lambda change: str(next(iter(change))),
)
def test_invalid_config_is_refused(change: dict[str, object]) -> None:
    adapter: TypeAdapter[FramesConfig] = TypeAdapter(FramesConfig)
    valid = {"layout": "streets", "domain": "source", "first": 0, "count": 1, "height": 64, "width": 128}
    assert isinstance(adapter.validate_python(valid), StreetsConfig)
    with pytest.raises(ValidationError):
        adapter.validate_python(valid | change)


def test_split_name_cannot_leave_its_folder() -> None:
    with pytest.raises(ValidationError, match="split"):
        CamvidConfig(layout="camvid", root=Path(), split="../secret")
