from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.config import ExportConfig
from export.frozen import freeze
from runtime.errors import CheckpointError, ConfigError
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
MakeConfig = Callable[..., ExportConfig]


def test_frozen_network_is_in_evaluation_mode_and_has_no_gradients(make_config: MakeConfig) -> None:
    frozen = freeze(make_config(), FRAME_HW)
    assert not any(module.training for module in frozen.network.modules())
    assert not any(parameter.requires_grad for parameter in frozen.network.parameters())
    assert frozen.spec.provenance == {"seed": 7}


def test_frames_more_than_twice_the_network_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"frame_hw=\(130, 96\) is more than twice network_hw=\(64, 96\)"):
        freeze(make_config(), (130, 96))


def test_network_sees_frames_at_the_size_that_is_asked_for(make_config: MakeConfig) -> None:
    frozen = freeze(make_config(network_hw=(32, 48)), FRAME_HW)
    assert frozen.network.network_hw == frozen.spec.network_hw == (32, 48)
    stages = frozen.network.stages(torch.zeros(1, *FRAME_HW, 3, dtype=torch.uint8))
    assert (stages.image.shape[2:], stages.labels.shape[1:]) == ((32, 48), FRAME_HW)


def test_size_that_the_network_cannot_see_is_refused(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeepLabV2, "size_multiple", 32)
    with pytest.raises(ConfigError, match=r"export\.network_hw: .* multiples of 32, got \(40, 64\); use \(32, 64\)"):
        freeze(make_config(network_hw=(40, 64)), FRAME_HW)


def test_missing_checkpoint_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors does not exist"):
        freeze(make_config(checkpoint=tmp_path / "gone.safetensors"), FRAME_HW)
