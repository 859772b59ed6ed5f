"""Networks this project did not write, from source training to labels out of a bundle, by run file alone.

One of the user's own (group norm, dropout, a dict for output, logits at stride 4) and two of
segmentation-models-pytorch: a transformer (layer norm, logits at stride 1, features at stride 4) and a U-Net.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import benchmarks.__main__
import export.__main__
import runtime.__main__
import training.__main__
from runtime.images import write_png
from training.checkpoint import load_network, read_tensors
from training.data.street_frames import StreetFrames

ROOT = Path(__file__).parents[1]
HW = (64, 96)
FACTORY = "my_networks:Small"
MODELS: dict[str, dict[str, Any]] = {
    "own": {"kind": "factory", "factory": FACTORY, "feature_layer": "encoder", "head_layer": "classifier"},
    "segformer": {"kind": "smp", "architecture": "segformer", "encoder": "mit_b0"},
    "unet": {"kind": "smp", "architecture": "unet", "encoder": "resnet18", "feature_layer": "encoder.layer3"},
}
NAMES = list(MODELS)

# Runs a training command and kills itself just before a file of the given name is put in its place.
KILLED_AT = """
import os, signal, sys, torch
torch.set_num_threads(1)
name, left = sys.argv[1], int(sys.argv[2])
def watch(event, arguments):
    global left
    if event == "os.rename" and os.path.basename(os.fspath(arguments[1])) == name:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from training.__main__ import main
sys.addaudithook(watch)
sys.exit(main(sys.argv[3:]))
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)


def streets(domain: str, first: int, count: int) -> dict[str, Any]:
    return {"layout": "streets", "domain": domain, "first": first, "count": count, "height": HW[0], "width": HW[1]}


def write_run(folder: Path, model: dict[str, Any], **adaptation: Any) -> str:
    """A run file for a network, all its output below `folder`."""
    factory = {"factory": model["factory"]} if "factory" in model else {}
    optimizer = {"name": "adamw", "learning_rate": 2e-3, "warmup": 0, "horizon": 100, "weight_decay": 0.01}
    document = {
        "training": {
            "output": str(folder),
            "label_space": "camvid11",
            "device": "cpu",
            "precision": "fp32",
            "workers": 0,
            "model": {"network_hw": list(HW), **model},
            "source": {
                "kind": "train",
                "frames": streets("source", 0, 4),
                "views": {"train_hw": list(HW), "scale": [1.0, 1.2], "crop_hw": [32, 64]},
                "iterations": 6,
                "batch_size": 2,
                "optimizer": optimizer,
                "checkpoint_every": 1,
            },
            "target": {"adapt": streets("target", 0, 3), "test": streets("target", 9, 2)},
            "adaptation": {
                "method": {"name": "iapc", "ema_momentum": 0.9},
                "pseudo_labels": {"scales": [1.0], "mirror": False},
                "views": {"train_hw": list(HW), "scale": [1.0, 1.2], "crop_hw": [32, 64]},
                "memory_hw": list(HW),
                "min_classes": 2,
                # Networks of a few steps lose classes as they please, and no statistics but the target's suit them.
                "max_lost_classes": 1.0,
                "settled_statistics": "estimated",
                "optimizer": {**optimizer, "learning_rate": 1e-3},
                "iterations": 3,
                "batch_size": 2,
                "checkpoint_every": 1,
                **adaptation,
            },
        },
        "export": {
            "checkpoint": str(folder / "adapted.safetensors"),
            "bundle": str(folder / "bundle"),
            "frames": streets("target", 20, 3),
            **factory,
        },
        "benchmarks": {
            "bundle": str(folder / "bundle"),
            "checkpoint": str(folder / "adapted.safetensors"),
            "frames": streets("target", 30, 2),
            "output": str(folder),
            "num_queries": 3,
            "warmup": 1,
            **factory,
        },
    }
    path = folder / "run.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture(scope="module")
def runs(make_folder: Callable[[str], Path]) -> dict[str, Path]:
    """Where each network's run was taken as far as a bundle; filled by `run_of`."""
    return {name: make_folder(name) for name in NAMES}


def run_of(runs: dict[str, Path], name: str) -> Path:
    """Output of a network's run: trained, adapted and exported, by the commands a user types."""
    folder = runs[name]
    if not (folder / "bundle").exists():
        run = write_run(folder, MODELS[name])
        assert training.__main__.main(["train-source", run]) == 0
        assert training.__main__.main(["adapt", run]) == 0
        assert export.__main__.main(["bundle", run]) == 0
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_network_is_trained_adapted_exported_and_served(runs: dict[str, Path], tmp_path: Path, name: str) -> None:
    folder = run_of(runs, name)
    report = json.loads((folder / "report.json").read_text())
    statistics = [] if name == "own" else ["BN replaced", "BN half blended", "BN as chosen"]
    assert list(report) == ["source only", *statistics, "balanced", "adapted"]
    manifest = json.loads((folder / "bundle/manifest.json").read_text())
    assert [artefact["format"] for artefact in manifest["artefacts"]] == ["onnx", "torchscript"]
    assert all(
        parity["label_agreement"] >= 0.9999 for artefact in manifest["artefacts"] for parity in artefact["parity"]
    )
    (tmp_path / "drive").mkdir()
    frame = StreetFrames("target", first=40, count=1, height=HW[0], width=HW[1]).image(0)
    write_png(tmp_path / "drive/a.png", frame)
    served = ["--output", str(tmp_path / "out"), "--provider", "cpu"]
    assert runtime.__main__.main(["segment", str(folder / "bundle"), str(tmp_path / "drive"), *served]) == 0
    network, spec = load_network(folder / "adapted.safetensors", factory=FACTORY)
    with torch.no_grad():
        expected, confidence = spec.frame_network(network, HW)(torch.from_numpy(frame)[None])
    with Image.open(tmp_path / "out/a_labels.png") as labels:
        assert float(np.mean(np.asarray(labels) == expected[0].numpy())) >= 0.9999
    # After a few steps one class may win everywhere, but never equally surely.
    assert len(confidence.unique()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_adaptation_moves_trunk_and_head(runs: dict[str, Path], name: str) -> None:
    folder = run_of(runs, name)
    before, after = (read_tensors(folder / f"{stage}.safetensors")[0] for stage in ("source", "adapted"))
    moved = {key for key, tensor in before.items() if not torch.equal(tensor, after[key])}
    head = "inner.classifier." if name == "own" else "inner.segmentation_head."
    assert any(key.startswith(head) for key in moved)
    assert any(key.startswith("inner.encoder.") for key in moved)


def test_bundle_is_compared_with_pytorch_for_speed(runs: dict[str, Path]) -> None:
    folder = run_of(runs, "own")
    assert benchmarks.__main__.main(["latency", str(folder / "run.yaml")]) == 0


@pytest.mark.parametrize("command", ["train-source", "adapt"])
def test_run_with_dropout_killed_and_started_again_ends_with_the_same_bits(
    runs: dict[str, Path], tmp_path: Path, command: str
) -> None:
    run = write_run(tmp_path, MODELS["own"])
    if command == "adapt":
        assert training.__main__.main(["train-source", run]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    for written in (2, 1):
        killed = [sys.executable, "-c", KILLED_AT, "state.safetensors", str(written), command, run]
        done = subprocess.run(killed, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert training.__main__.main([command, run]) == 0
    name = "source.safetensors" if command == "train-source" else "adapted.safetensors"
    whole, resumed = (read_tensors(folder / name)[0] for folder in (run_of(runs, "own"), tmp_path))
    assert [key for key, tensor in whole.items() if not torch.equal(tensor, resumed[key])] == []


@pytest.mark.parametrize("stage", ["training", "export", "benchmarks"])
def test_file_of_a_factory_is_not_opened_where_the_config_does_not_name_it(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    """Otherwise a file from elsewhere would choose what code runs here."""
    folder = run_of(runs, "own")
    run, other = str(folder / "run.yaml"), str(tmp_path / "elsewhere")
    match stage:
        case "training":
            source = {"kind": "checkpoint", "path": str(folder / "source.safetensors")}
            model = {"kind": "deeplab_v2", "backbone": "resnet18"}
            settings = [f"output={other}", f"source={json.dumps(source)}"]
            arguments = ["adapt", write_run(tmp_path, model)]
            status = training.__main__.main([*arguments, *(part for text in settings for part in ("--set", text))])
        case "export":
            status = export.__main__.main(["bundle", run, "--set", f"bundle={other}", "--set", "factory=null"])
        case _:
            arguments = ["latency", run, "--set", f"output={other}"]
            status = benchmarks.__main__.main([*arguments, "--set", "factory=my_networks:small"])
    error = capsys.readouterr().err
    assert status == 1
    assert f"is built by factory {FACTORY!r}, which runs code; the config" in error
    assert ("allows only 'my_networks:small'" if stage == "benchmarks" else "names none") in error
    assert not (tmp_path / "elsewhere/adapted.safetensors").exists()


def test_size_the_network_refuses_costs_a_second_and_names_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path, MODELS["segformer"])
    crops = ["--set", "adaptation.views.crop_hw=[40, 64]"]
    assert training.__main__.main(["train-source", run, *crops]) == 2
    assert (
        "error: adaptation.views.crop_hw: the network takes heights and widths that are multiples of 32, got (40"
        in (error := capsys.readouterr().err)
    )
    assert "use (32, 64)" in error
    assert not (tmp_path / "source.safetensors").exists()
