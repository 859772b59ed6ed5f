from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.config import ExportConfig
from export.frozen import freeze, open_target_frames
from runtime.errors import CheckpointError, ConfigError, DataError
from runtime.images import read_image, write_png

FRAME_HW = (64, 96)
MakeConfig = Callable[..., ExportConfig]


def test_frames_are_spread_evenly_and_read_as_they_are(make_config: MakeConfig, frames_folder: Path) -> None:
    frames = open_target_frames(make_config(checkpoint="a", num_parity_frames=2))
    assert (frames.indices, frames.frame_hw, len(frames)) == ((0, 3), FRAME_HW, 2)
    first, last = frames
    assert first.shape == (1, 64, 96, 3)
    np.testing.assert_array_equal(first[0], read_image(frames_folder / "0.png"))
    np.testing.assert_array_equal(last[0], read_image(frames_folder / "3.png"))


def test_smaller_data_set_is_taken_whole_and_said_so(
    make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = open_target_frames(make_config(checkpoint="a", num_parity_frames=9))
    assert frames.indices == (0, 1, 2, 3)
    assert "only 4 of export.num_parity_frames=9 frames exist" in capsys.readouterr().err


def test_frame_of_another_size_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((*FRAME_HW, 3), dtype=np.uint8))
    write_png(tmp_path / "b.png", np.zeros((32, 96, 3), dtype=np.uint8))
    frames = open_target_frames(make_config(checkpoint="a", frames={"layout": "folder", "root": tmp_path}))
    with pytest.raises(DataError, match=r"b\.png is 32x96 .* the bundle is for 64x96"):
        list(frames)


def test_frame_size_of_the_config_is_required_of_the_first_frame_too(make_config: MakeConfig) -> None:
    frames = open_target_frames(make_config(checkpoint="a", frame_hw=(48, 96)))
    with pytest.raises(DataError, match=r"0\.png is 64x96 .* the bundle is for 48x96"):
        next(iter(frames))


def test_frozen_network_is_in_evaluation_mode_and_has_no_gradients(make_config: MakeConfig) -> None:
    frozen = freeze(make_config(), FRAME_HW)
    assert not any(module.training for module in frozen.network.modules())
    assert not any(parameter.requires_grad for parameter in frozen.network.parameters())
    assert frozen.spec.provenance == {"seed": 7}


def test_frames_more_than_twice_the_network_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"frame_hw=\(130, 96\) is more than twice network_hw=\(64, 96\)"):
        freeze(make_config(), (130, 96))


def test_missing_checkpoint_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors does not exist"):
        freeze(make_config(checkpoint=tmp_path / "gone.safetensors"), FRAME_HW)
