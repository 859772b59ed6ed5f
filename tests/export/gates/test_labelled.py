from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.config import ExportConfig
from export.frame_sets import int8_identities, open_frame_sets
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


def test_frames_that_int8_is_chosen_on_judge_nothing(
    config: Callable[..., ExportConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    int8 = {"num_choice_frames": 2, "num_calibration_frames": 1}
    # Of the seeds 0 to 8, 0 and 8 are the gate's, and 5 has no use; 5 to 13 have labels.
    frames = {**STREETS, "first": 0}
    found = config(frames=frames, test=STREETS, num_gate_frames=2, int8=int8, artefacts=["int8-cpu.onnx"])
    seen = int8_identities(found, open_frame_sets(found))
    judged = open_judged_frames(found, SPACE, (32, 64), seen=seen)
    assert judged is not None
    names = [judged.frames.name(index) for index in judged.indices]
    assert names == [f"streets-target-{seed:06d}" for seed in (5, 8, 9, 10, 11, 12, 13)]
    told = capsys.readouterr().err
    assert "2 of the 9 frames of export.test are left out: INT8 is calibrated and chosen on them" in told
    assert "only 7 of export.num_test_frames=50 frames exist" in told


def test_labelled_frames_that_int8_is_all_chosen_on_are_refused(config: Callable[..., ExportConfig]) -> None:
    seen = {f"streets-target-{seed:06d}" for seed in range(20)}
    with pytest.raises(DataError, match=r"all 9 frames of export\.test are frames of export\.frames that INT8 .* give"):
        open_judged_frames(config(test=STREETS), SPACE, (32, 64), seen=seen)


def test_frames_of_another_size_are_refused(config: Callable[..., ExportConfig]) -> None:
    frames = open_judged_frames(config(test=STREETS), SPACE, (64, 128))
    assert frames is not None
    with pytest.raises(DataError, match=r"of export\.test is 32x64 pixels .* but the bundle is for 64x128"):
        next(iter(frames))


def test_frames_without_labels_are_refused(config: Callable[..., ExportConfig], frames_folder: Path) -> None:
    folder: dict[str, Any] = {"layout": "folder", "root": frames_folder}
    with pytest.raises(ConfigError, match="has no labels"):
        open_judged_frames(config(test=folder), SPACE, (64, 96))
