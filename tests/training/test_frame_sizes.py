"""Frames that are too large for the network are refused before a run, by name, and never end in a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from runtime.errors import ConfigError, DataError
from training.__main__ import main
from training.checkpoint import NetworkSpec
from training.data.layouts import folder_images
from training.device import Compute
from training.distributed import World
from training.evaluate import evaluate
from training.frame_sizes import require_servable
from training.networks.deeplab_v2 import DeepLabV2
from training.pictures import write_comparison

MakeFrames = Callable[..., Path]
MakeSettings = Callable[..., dict[str, Any]]
HW = (32, 48)


@pytest.fixture
def mixed(tmp_path: Path, make_frames: MakeFrames) -> Path:
    """Three frames that can be served, and a last one whose height is one pixel too many."""
    make_frames(tmp_path / "mixed", count=3)
    return make_frames(tmp_path / "mixed", count=1, first=3, hw=(65, 96))


class Unlabelled:
    """Frames of a folder, of no class."""

    def __init__(self, folder: Path) -> None:
        self.images = folder_images(folder)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def hw(self, index: int) -> tuple[int, int]:
        return self.images.hw(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        return self.images.image(index)

    def label(self, index: int) -> NDArray[np.uint8]:
        return np.full(self.hw(index), 255, dtype=np.uint8)


def test_one_frame_of_many_is_found_and_named_with_its_key_and_what_would_do(mixed: Path) -> None:
    message = (
        r"model\.network_hw: frame_hw=\(65, 96\) is more than twice network_hw=\(32, 48\): .*at least \(33, 48\), "
        r"or crop or bin the frames, such as 003\.png of target\.test, or leave them out"
    )
    with pytest.raises(ConfigError, match=message):
        require_servable(folder_images(mixed), HW, key="target.test")
    require_servable(folder_images(mixed), (33, 48), key="target.test")


def test_processes_share_the_reading(mixed: Path) -> None:
    require_servable(folder_images(mixed), HW, key="target.test", world=World(rank=0, size=2))
    with pytest.raises(ConfigError, match=r"003\.png"):
        require_servable(folder_images(mixed), HW, key="target.test", world=World(rank=1, size=2))


def test_evaluation_and_picture_name_the_frame(
    network: DeepLabV2, spec: NetworkSpec, compute: Compute, mixed: Path, tmp_path: Path
) -> None:
    frames = Unlabelled(mixed)
    message = r"frame 003\.png does not fit model\.network_hw: frame_hw=\(65, 96\) is more than twice"
    with pytest.raises(DataError, match=message):
        evaluate(network, spec, frames, compute, title="test")
    with pytest.raises(DataError, match=message):
        write_comparison(tmp_path / "comparison.png", frames, network, network, spec, compute)
    assert not (tmp_path / "comparison.png").exists()


@pytest.mark.parametrize("key", ["adapt", "test"])
def test_adaptation_does_not_begin(
    world: Path,
    tmp_path: Path,
    mixed: Path,
    make_settings: MakeSettings,
    capsys: pytest.CaptureFixture[str],
    key: str,
) -> None:
    settings = make_settings(world, tmp_path / "out")
    settings["target"][key] = {"layout": "folder", "root": str(mixed)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": settings}))
    assert main(["adapt", str(tmp_path / "run.yaml")]) == 2
    told = capsys.readouterr().err
    assert "error: model.network_hw: frame_hw=(65, 96) is more than twice network_hw=(32, 48)" in told
    assert f"such as 003.png of target.{key}" in told
    assert not list(tmp_path.glob("out/prepared/*/*"))


def test_test_frames_that_are_not_there_are_told_before_adaptation(
    world: Path, tmp_path: Path, make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(world, tmp_path / "out")
    settings["target"]["test"] = {"layout": "gta5", "root": str(tmp_path / "nowhere")}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": settings}))
    assert main(["adapt", str(tmp_path / "run.yaml")]) == 1
    assert f"error: data root {tmp_path / 'nowhere'} is not a folder" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/prepared/*/*"))
