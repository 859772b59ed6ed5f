"""When a source network is trained anew: where its frames or what it learns by are others, and at nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from training.__main__ import main

MakeFrames = Callable[..., Path]
MakeSettings = Callable[..., dict[str, Any]]
TrainSource = Callable[..., int]


def plant_labels(root: Path) -> None:
    """A label map for every image of a folder."""
    (root / "labels").mkdir(exist_ok=True)
    for number, path in enumerate(sorted((root / "images").iterdir())):
        labels = np.random.default_rng(number).integers(0, 11, (8, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(root / "labels" / path.name)


@pytest.fixture
def data(tmp_path: Path, make_frames: MakeFrames) -> Path:
    """Three labelled frames, and two others."""
    for name, count, first in (("train", 3, 0), ("validation", 2, 10)):
        make_frames(tmp_path / name / "images", count=count, first=first)
        plant_labels(tmp_path / name)
    return tmp_path


@pytest.fixture
def train_source(world: Path, data: Path, make_settings: MakeSettings, tmp_path: Path) -> TrainSource:
    """Runs the command on `train`; keyword arguments replace keys of `source`, and give its exit status."""

    def run(**source: Any) -> int:
        settings = make_settings(world, tmp_path / "out")
        schedule = {key: settings["adaptation"][key] for key in ("views", "optimizer", "batch_size")}
        settings["source"] = {"kind": "train", "frames": frames_of(data / "train"), "iterations": 2, **schedule}
        settings["source"] |= source
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump({"training": settings}))
        return main(["train-source", str(path)])

    return run


def frames_of(root: Path) -> dict[str, str]:
    return {"layout": "labelled_folder", "root": str(root / "images"), "labels": str(root / "labels")}


@pytest.fixture
def trained(train_source: TrainSource, tmp_path: Path) -> Path:
    """A network that is trained already."""
    assert train_source() == 0
    return tmp_path / "out/source.safetensors"


def test_what_no_weight_depends_on_trains_nothing_anew(
    trained: Path, train_source: TrainSource, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trained.stat().st_mtime_ns
    assert train_source(checkpoint_every=1, validation=frames_of(data / "validation")) == 0
    told = capsys.readouterr()
    assert "source network is already trained" in told.err
    assert "validation_miou" in told.out
    assert trained.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["frame", "label", "iterations"])
def test_other_frames_labels_or_steps_train_anew(
    trained: Path, train_source: TrainSource, data: Path, make_frames: MakeFrames, change: str
) -> None:
    before, settings = trained.read_bytes(), {}
    if change == "frame":
        make_frames(data / "train/images", count=1, first=3)
        plant_labels(data / "train")
    elif change == "label":
        Image.fromarray(np.zeros((64, 96), dtype=np.uint8)).save(data / "train/labels/000.png")
    else:
        settings = {"iterations": 3}
    assert train_source(**settings) == 0
    assert trained.read_bytes() != before
    assert len(list((trained.parent / "source").iterdir())) == 2


def test_network_that_is_trained_does_without_its_frames(
    trained: Path, train_source: TrainSource, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / "train")
    before = trained.stat().st_mtime_ns
    assert train_source() == 0
    told = capsys.readouterr().err
    assert "source frames are out of reach (image folder " in told
    assert "the network that is there learnt from 3" in told
    assert "source network is already trained" in told
    assert train_source(iterations=3) == 1
    assert f"error: image folder {data / 'train/images'} does not exist" in capsys.readouterr().err
    assert trained.stat().st_mtime_ns == before


def test_frames_that_are_missing_are_told_where_no_network_is(
    train_source: TrainSource, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / "train")
    assert train_source() == 1
    assert "error: image folder" in capsys.readouterr().err


def test_validation_frames_too_large_for_the_network_are_told_before_training(
    train_source: TrainSource, data: Path, make_frames: MakeFrames, capsys: pytest.CaptureFixture[str]
) -> None:
    make_frames(data / "validation/images", count=1, first=20, hw=(65, 96))
    assert train_source(validation=frames_of(data / "validation")) == 2
    told = capsys.readouterr().err
    assert "error: model.network_hw: frame_hw=(65, 96)" in told
    assert "020.png of source.validation" in told
    assert not (data / "out/source").exists()
