"""Ten inputs a user gets wrong, through the commands they type: one clear sentence, and nothing half-written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import export.__main__
import runtime.__main__
import training.__main__
from runtime.config import load_config
from runtime.errors import FrameError
from runtime.images import write_png
from runtime.segmenter import Segmenter
from training.checkpoint import NetworkSpec, read_tensors, save_network, save_tensors
from training.config import TrainingConfig
from training.networks.config import DeepLabV2Config
from training.source import load_source

HW = (48, 64)
ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    """A run on two 64x48 frames with a network of random weights."""
    rng = np.random.default_rng(0)
    (tmp_path / "frames").mkdir()
    for index in range(2):
        write_png(tmp_path / "frames" / f"{index}.png", rng.integers(0, 256, (*HW, 3), dtype=np.uint8))
    spec = NetworkSpec(
        model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=HW),
        label_space="cityscapes19",
    )
    save_network(tmp_path / "source.safetensors", spec.build(), spec)
    folder = {"layout": "folder", "root": str(tmp_path / "frames")}
    views = {"train_hw": list(HW), "scale": [1.0, 1.0], "crop_hw": [32, 48]}
    document = {
        "training": {
            "output": str(tmp_path / "out"),
            "label_space": "cityscapes19",
            "device": "cpu",
            "workers": 0,
            "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": list(HW)},
            "source": {"kind": "checkpoint", "path": str(tmp_path / "source.safetensors")},
            "target": {"adapt": folder},
            "adaptation": {
                "method": {"name": "iapc"},
                "views": views,
                "memory_hw": list(HW),
                "iterations": 2,
                "batch_size": 2,
            },
        },
        "export": {
            "checkpoint": str(tmp_path / "source.safetensors"),
            "bundle": str(tmp_path / "bundle"),
            "frames": folder,
            "artefacts": ["fp32.onnx"],
        },
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail; gives its one error line, after checking that no file was left half-written."""

    def run(main: Callable[[list[str]], int], *arguments: str, status: int = 1) -> str:
        assert main(list(arguments)) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "Traceback" not in captured.err
        assert not list(tmp_path.rglob(".*")), "temporary files were left"
        assert not list(tmp_path.rglob("adapted.safetensors"))
        return errors[0]

    return run


def adapt(run_file: Path, *overrides: str) -> list[str]:
    return ["adapt", str(run_file), *(part for override in overrides for part in ("--set", override))]


def test_truncated_png_is_named(run_file: Path, refused: Refused) -> None:
    frame = run_file.parent / "frames" / "1.png"
    frame.write_bytes(frame.read_bytes()[:-200])
    error = refused(training.__main__.main, *adapt(run_file))
    assert str(frame) in error
    assert "cannot be read" in error


def test_label_of_another_size_is_named_with_both_sizes(run_file: Path, refused: Refused) -> None:
    root = run_file.parent / "gta"
    for name, array in (
        ("images", np.zeros((*HW, 3), dtype=np.uint8)),
        ("labels", np.zeros((HW[0], HW[1] - 1), dtype=np.uint8)),
    ):
        (root / name).mkdir(parents=True)
        write_png(root / name / "00001.png", array)
    source = {
        "kind": "train",
        "frames": {"layout": "gta5", "root": str(root)},
        "views": {"train_hw": list(HW), "scale": [1.0, 1.0], "crop_hw": [32, 48]},
        "iterations": 1,
        "batch_size": 2,
        "optimizer": {"learning_rate": 0.001},
    }
    arguments = ["train-source", str(run_file), "--set", f"source={yaml.safe_dump(source, default_flow_style=True)}"]
    error = refused(training.__main__.main, *arguments)
    assert str(root / "labels" / "00001.png") in error
    assert "63" in error
    assert "64" in error


def test_empty_folder_is_named(run_file: Path, refused: Refused) -> None:
    (run_file.parent / "empty").mkdir()
    folder = json.dumps({"layout": "folder", "root": str(run_file.parent / "empty")})
    error = refused(training.__main__.main, *adapt(run_file, f"target.adapt={folder}"))
    assert str(run_file.parent / "empty") in error
    assert "no image" in error


def test_unknown_key_is_refused_with_the_nearest(run_file: Path, refused: Refused) -> None:
    error = refused(training.__main__.main, *adapt(run_file, "adaptation.iteration=3"), status=2)
    assert "'adaptation.iteration'" in error
    assert "did you mean 'iterations'?" in error


def test_missing_checkpoint_is_named(run_file: Path, refused: Refused) -> None:
    (run_file.parent / "source.safetensors").unlink()
    error = refused(training.__main__.main, *adapt(run_file))
    assert "source.safetensors does not exist" in error


def test_checkpoint_without_a_tensor_is_refused_with_its_name(run_file: Path, refused: Refused) -> None:
    path = run_file.parent / "source.safetensors"
    tensors, metadata = read_tensors(path)
    del tensors["classifier.2.bias"]
    save_tensors(path, tensors, metadata)
    for main, arguments in (
        (training.__main__.main, adapt(run_file)),
        (export.__main__.main, ["bundle", str(run_file)]),
    ):
        error = refused(main, *arguments)
        assert "1 missing (classifier.2.bias)" in error
    assert not (run_file.parent / "bundle").exists()


def test_tampered_bundle_is_refused_by_file(
    run_file: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.__main__.main(["bundle", str(run_file)]) == 0
    capsys.readouterr()
    onnx = run_file.parent / "bundle" / "fp32.onnx"
    onnx.write_bytes(onnx.read_bytes()[:-1] + b"?")
    output = run_file.parent / "drawn"
    arguments = ["segment", str(run_file.parent / "bundle"), str(run_file.parent / "frames"), "--output", str(output)]
    error = refused(runtime.__main__.main, *arguments)
    assert "fp32.onnx" in error
    assert "altered" in error
    assert not list(output.glob("*"))


def test_output_that_cannot_be_written_is_refused_before_any_work(run_file: Path, refused: Refused) -> None:
    below_a_file = run_file.parent / "source.safetensors" / "out"
    error = refused(training.__main__.main, *adapt(run_file, f"output={below_a_file}"), status=2)
    assert str(below_a_file) in error
    assert "cannot be written" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write to read-only folders")
def test_read_only_output_folder_is_refused(run_file: Path, refused: Refused) -> None:
    locked = run_file.parent / "locked"
    locked.mkdir(mode=0o500)
    assert "cannot be written" in refused(training.__main__.main, *adapt(run_file, f"output={locked / 'x'}"), status=2)


def test_nan_in_a_frame_is_refused_before_the_engine(run_file: Path) -> None:
    assert export.__main__.main(["bundle", str(run_file)]) == 0
    frame: Any = np.full((*HW, 3), np.nan, dtype=np.float32)
    with (
        Segmenter.open(run_file.parent / "bundle") as segmenter,
        pytest.raises(FrameError, match=r"NaN"),
    ):
        segmenter.segment(frame)


def test_target_of_one_image_is_refused_with_what_is_needed(run_file: Path, refused: Refused) -> None:
    (run_file.parent / "frames" / "1.png").unlink()
    error = refused(training.__main__.main, *adapt(run_file))
    assert "1 frame" in error
    assert "at least 2" in error


def test_a_good_run_ends_stdout_with_one_json_document(run_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", *adapt(run_file)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert Path(figures["checkpoint"]).is_file()
    assert 0.0 <= figures["statistics_share"] <= 1.0


def test_config_that_describes_another_network_is_refused_with_both(run_file: Path, refused: Refused) -> None:
    error = refused(training.__main__.main, *adapt(run_file, "model.backbone=resnet34"), status=2)
    assert "source.safetensors holds another network than the config describes" in error
    assert "its backbone is 'resnet18', the config says 'resnet34'; correct model.backbone" in error


def test_how_its_weights_began_does_not_make_it_another_network(run_file: Path) -> None:
    config = load_config(run_file, "training", TrainingConfig, ["model.zero_init_residual=true"])
    assert load_source(config).spec.model.network_hw == config.model.network_hw


def test_config_that_describes_a_network_of_another_kind_is_told_the_kind(run_file: Path, refused: Refused) -> None:
    model = {"kind": "factory", "factory": "mine:make", "feature_layer": "x", "network_hw": list(HW)}
    error = refused(training.__main__.main, *adapt(run_file, f"model={json.dumps(model)}"), status=2)
    assert "its kind is 'deeplab_v2', the config says 'factory'; correct model.kind" in error


def test_memory_frame_smaller_than_the_crop_is_refused(run_file: Path, refused: Refused) -> None:
    error = refused(training.__main__.main, *adapt(run_file, "adaptation.memory_hw=[24, 48]"), status=2)
    assert "memory_hw=(24, 48) is smaller than views.crop_hw=(32, 48)" in error


def test_frames_too_large_for_the_network_are_refused_before_adapting(run_file: Path, refused: Refused) -> None:
    error = refused(training.__main__.main, *adapt(run_file, "model.network_hw=[16, 24]"), status=2)
    assert "model.network_hw: frame_hw=(48, 64) is more than twice network_hw=(16, 24)" in error
    assert not list(run_file.parent.rglob("initial.safetensors"))
