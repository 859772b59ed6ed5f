from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.config import ExportConfig
from export.gates.labelled import open_judged_frames
from runtime.errors import ConfigError, DataError
from runtime.labels import LABEL_SPACES

STREETS = {"layout": "streets", "domain": "target", "first": 5, "count": 9, "height": 32, "width": 64}
SPACE = LABEL_SPACES["cityscapes19"]


@pytest.fixture
def config(make_config: Callable[..., ExportConfig]) -> Callable[..., ExportConfig]:
    """A config whose checkpoint nobody reads."""
    return lambda **values: make_config(checkpoint="unread", **values)


def test_without_labelled_frames_there_are_none(config: Callable[..., ExportConfig]) -> None:
    assert open_judged_frames(config(), SPACE, (32, 64)) is None


def test_frames_are_spread_evenly_and_come_with_their_truth(config: Callable[..., ExportConfig]) -> None:
    frames = open_judged_frames(config(test=STREETS, num_test_frames=3), SPACE, (32, 64))
    assert frames is not None
    assert (len(frames), frames.indices) == (3, (0, 4, 8))
    for frame, truth in frames:
        assert (frame.shape, truth.shape) == ((1, 32, 64, 3), (32, 64))
    # They can be read again: every artefact does.
    assert len(list(frames)) == 3


def test_too_few_frames_are_all_taken_and_said(
    config: Callable[..., ExportConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    frames = open_judged_frames(config(test=STREETS, num_test_frames=10), SPACE, (32, 64))
    assert frames is not None
    assert len(frames) == 9
    assert "only 9 of export.num_test_frames=10 frames exist" in capsys.readouterr().err


def test_frames_of_another_size_are_refused(config: Callable[..., ExportConfig]) -> None:
    frames = open_judged_frames(config(test=STREETS), SPACE, (64, 128))
    assert frames is not None
    with pytest.raises(DataError, match=r"of export\.test is 32x64 pixels .* but the bundle is for 64x128"):
        next(iter(frames))


def test_frames_without_labels_are_refused(config: Callable[..., ExportConfig], frames_folder: Path) -> None:
    folder: dict[str, Any] = {"layout": "folder", "root": frames_folder}
    with pytest.raises(ConfigError, match="has no labels"):
        open_judged_frames(config(test=folder), SPACE, (64, 96))
