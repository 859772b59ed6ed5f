"""Classes and labels of the user's own, from label maps on disk to what a vehicle reads, by run file alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import export.__main__
import runtime.__main__
import training.__main__
from runtime.bundle.manifest import Manifest
from runtime.config import load_config
from runtime.harvest.run_file import run_file
from runtime.images import read_image, write_png
from runtime.labels import IGNORE_INDEX, LABEL_SPACES, LabelSpace
from training.checkpoint import load_network, read_network
from training.config import TrainingConfig
from training.data.config import StreetsConfig
from training.data.open import open_labelled_frames

HW = (64, 96)
NAMES = ("ground", "vegetation", "sky", "building", "vehicle", "person")
LABEL_SPACE: dict[str, Any] = {
    "classes": [
        {"name": "ground", "colour": [90, 60, 90]},
        *("vegetation", "sky", "building"),
        {"name": "vehicle", "colour": [0, 0, 142]},
        "person",
    ],
    "merges": {
        **dict.fromkeys(("road", "sidewalk", "terrain"), "ground"),
        **dict.fromkeys(("car", "truck", "bus"), "vehicle"),
        "rider": "person",
    },
}
FINE = LABEL_SPACES["cityscapes19"]
FIRST_ID, VOID_ID = 100, 7
IDS = {**{FIRST_ID + train_id: name for train_id, name in enumerate(FINE.names)}, VOID_ID: None}


pytestmark = pytest.mark.usefixtures("one_thread")


def write_labelled(folder: Path, domain: str, first: int, count: int) -> dict[str, Any]:
    """Images, and label maps with ids of our own, as a team has them; says how a run file names them."""
    streets = {"layout": "streets", "domain": domain, "first": first, "count": count, "height": HW[0], "width": HW[1]}
    frames = open_labelled_frames(StreetsConfig.model_validate(streets), FINE)
    for index in range(count):
        label = frames.label(index)
        ids = np.where(label == IGNORE_INDEX, VOID_ID, label + FIRST_ID).astype(np.uint8)
        for kind, pixels in (("images", frames.image(index)), ("labels", ids)):
            path = folder / kind / f"drive/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, pixels)
    return {"layout": "labelled_folder", "root": f"{folder}/images", "labels": f"{folder}/labels", "ids": IDS}


def write_run(folder: Path) -> str:
    """A run file for all of it, all its output below `folder`."""
    views = {"train_hw": list(HW), "scale": [1.0, 1.2], "crop_hw": [32, 64]}
    optimizer = {"name": "adamw", "learning_rate": 2e-3, "warmup": 0, "horizon": 100}
    source, target = (write_labelled(folder / domain, domain, 50, 4) for domain in ("source", "target"))
    document = {
        "training": {
            "output": str(folder),
            "label_space": LABEL_SPACE,
            "device": "cpu",
            "precision": "fp32",
            "workers": 0,
            "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": list(HW)},
            "source": {
                "kind": "train",
                "frames": source,
                "views": views,
                "iterations": 4,
                "batch_size": 2,
                "optimizer": optimizer,
            },
            "target": {"adapt": {"layout": "folder", "root": target["root"]}, "test": target},
            "adaptation": {
                "method": {"name": "iapc"},
                "views": views,
                "memory_hw": list(HW),
                "min_classes": 2,
                "max_lost_classes": 1.0,
                "optimizer": optimizer,
                "iterations": 2,
                "batch_size": 2,
            },
        },
        "export": {
            "checkpoint": f"{folder}/adapted.safetensors",
            "bundle": f"{folder}/bundle",
            "frames": {"layout": "folder", "root": target["root"]},
            "test": target,
            "artefacts": ["fp32.onnx"],
        },
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def folder(make_folder: Callable[[str], Path]) -> Path:
    """A run that was checked, trained, adapted and exported by the commands a user types."""
    folder = make_folder("own_classes")
    run = write_run(folder)
    for command in ("check-data", "train-source", "adapt"):
        assert training.__main__.main([command, run]) == 0
    assert export.__main__.main(["bundle", run]) == 0
    return folder


def test_data_check_counts_own_ids_in_own_classes(folder: Path) -> None:
    found = json.loads((folder / "data.json").read_text())["target.test"]
    assert list(found["class_percent"]) == list(NAMES)
    assert found["label_ids"][str(FIRST_ID)]["name"] == "road"
    # Ground is most of every street; without the merges it would have no pixel, as no id is named so.
    assert found["class_percent"]["ground"] > 20
    assert 0 < found["ignored_percent"] < 50
    (warning,) = [text for text in found["warnings"] if text.startswith("ids: ")]
    assert warning == (
        "ids: bicycle, fence, motorcycle, pole, traffic light, traffic sign, train, wall: no class of label_space, nor "
        "merged into one, so ignored"
    )


def test_report_is_in_own_classes(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    assert list(report["adapted"]["iou"]) == list(NAMES)
    assert report["adapted"]["miou"] > 0


def test_labels_beside_the_frames_to_adapt_to_decide_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same frames said with labels, which are not even there: it is the same run, and it is done."""
    target = {"layout": "labelled_folder", "root": f"{folder}/target/images", "labels": f"{folder}/nowhere"}
    assert training.__main__.main(["adapt", f"{folder}/run.yaml", "--set", f"target.adapt={json.dumps(target)}"]) == 0
    assert "network is already adapted" in capsys.readouterr().err


def test_file_of_a_network_tells_own_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.__main__.main(["inspect-checkpoint", f"{folder}/adapted.safetensors"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1])["classes"] == len(NAMES)
    (line,) = (line for line in told.err.splitlines() if line.startswith("label_space:"))
    assert LabelSpace.model_validate(yaml.safe_load(line)["label_space"]) == LabelSpace.model_validate(LABEL_SPACE)


def test_bundle_tells_own_classes_to_the_vehicle(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.model_validate_json((folder / "bundle/manifest.json").read_text())
    assert tuple(one.name for one in manifest.classes) == NAMES
    assert (manifest.classes[0].colour, manifest.classes[4].colour) == ((90, 60, 90), (0, 0, 142))
    assert export.__main__.main(["card", str(folder / "bundle")]) == 0
    assert "| label space | classes of its own |" in (folder / "bundle-card/model_card.md").read_text()
    assert "/labels" not in (folder / "bundle-card/data_statement.md").read_text()
    output = tmp_path / "out"
    images = str(folder / "target/images")
    assert runtime.__main__.main(["segment", str(folder / "bundle"), images, "--output", str(output)]) == 0
    network, spec = load_network(folder / "adapted.safetensors")
    frame = read_image(folder / "target/images/drive/0.png")
    with torch.no_grad():
        expected, _ = spec.frame_network(network, HW)(torch.from_numpy(frame)[None])
    with Image.open(output / "drive_0_labels.png") as labels:
        assert float(np.mean(np.asarray(labels) == expected[0].numpy())) >= 0.9999


def test_frames_that_a_vehicle_keeps_are_learnt_in_the_same_classes(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.model_validate_json((folder / "bundle/manifest.json").read_text())
    (tmp_path / "run.yaml").write_text(run_file(manifest))
    again = load_config(tmp_path, "training", TrainingConfig)
    assert again.label_space == read_network(folder / "adapted.safetensors")[1].label_space
    assert again.label_space.merges == LABEL_SPACE["merges"]


def test_crops_of_more_classes_than_there_are_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["adapt", str(folder / "run.yaml"), "--set", "adaptation.min_classes=7"]
    assert training.__main__.main(arguments) == 2
    assert "adaptation.min_classes=7: no crop can have as many, label_space has 6 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"classes": list(reversed(LABEL_SPACE["classes"]))},
            "other classes than the config describes: its label_space is own (ground, vegetation, sky, building, "
            "vehicle, person), the config says own (person, vehicle,",
        ),
        ({"merges": {"road": "ground"}}, "the config's classes, but with other merges; correct label_space"),
        (
            {"classes": [{"name": "ground", "colour": [1, 2, 3]}, *LABEL_SPACE["classes"][1:]]},
            "the config's classes, but with other colours; correct label_space",
        ),
    ],
)
def test_network_of_other_classes_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], problem: str
) -> None:
    """The same names in another order would paint sky where there is road."""
    source = {"kind": "checkpoint", "path": f"{folder}/source.safetensors"}
    told = {"output": str(tmp_path), "source": source, "label_space": {**LABEL_SPACE, **change}}
    settings = [part for key, value in told.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    assert training.__main__.main(["adapt", str(folder / "run.yaml"), *settings]) != 0
    assert f"source.safetensors holds a network of {problem}" in capsys.readouterr().err
