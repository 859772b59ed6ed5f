import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from runtime.images import read_image
from training.__main__ import main
from training.data.config import StreetsConfig
from training.data.open import open_frames

FRAMES: dict[str, Any] = {"layout": "streets", "domain": "target", "first": 0, "count": 3, "height": 16, "width": 32}
VIEWS = {"train_hw": [16, 32], "scale": [1.0, 1.0], "crop_hw": [16, 16]}


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    source = {**FRAMES, "domain": "source"}
    schedule = {"views": VIEWS, "iterations": 1, "batch_size": 2, "optimizer": {"horizon": 1}}
    adaptation = {"method": {"name": "iapc"}, "memory_hw": [16, 32], **schedule}
    training = {
        "output": str(tmp_path / "run"),
        "label_space": "cityscapes19",
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [16, 32]},
        "source": {"kind": "train", "frames": source, **schedule},
        "target": {"adapt": FRAMES},
        "adaptation": adaptation,
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"training": training}))
    return path


def test_frames_of_the_target_are_written_as_they_are(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write-frames", str(run_file)]) == 0
    folder = tmp_path / "run" / "drive"
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"frames": 3, "folder": str(folder)}
    frames = open_frames(StreetsConfig.model_validate(FRAMES))
    for index, path in enumerate(sorted(folder.iterdir())):
        np.testing.assert_array_equal(read_image(path), frames.image(index))


def test_interrupted_it_goes_on_and_a_limit_ends_it(run_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "drive"
    assert main(["write-frames", str(run_file), "--limit", "0"]) == 2
    assert main(["write-frames", str(run_file), "--limit", "1"]) == 0
    assert [path.name for path in folder.iterdir()] == ["000000.png"]
    written = (folder / "000000.png").stat().st_mtime_ns
    assert main(["write-frames", str(run_file)]) == 0
    assert len(list(folder.iterdir())) == 3
    assert (folder / "000000.png").stat().st_mtime_ns == written
