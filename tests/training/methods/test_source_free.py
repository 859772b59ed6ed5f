"""Adaptation is source-free and label-free: it succeeds where opening source data or a target label is impossible.

The commands run in a process of their own, in which an audit hook refuses to open or list anything below the
forbidden folders. The same hook stops commands that do need them, so it is known to work.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from PIL import Image

from training.__main__ import main
from training.checkpoint import load_network
from training.methods.choice import MethodConfig

ROOT = Path(__file__).parents[3]

# RuntimeError, because an OSError could be taken for a damaged file and handled.
GUARDED = """
import os, sys, torch
torch.set_num_threads(1)
forbidden = tuple(os.path.realpath(path) for path in sys.argv[1].split(os.pathsep))
def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes, os.PathLike)):
        if os.path.realpath(os.fsdecode(arguments[0])).startswith(forbidden):
            raise RuntimeError(f"forbidden: {arguments[0]}")
from training.__main__ import main
sys.addaudithook(refuse)
sys.exit(main(sys.argv[2:]))
"""

# One process for all methods: what is imported and prepared is shared. Tells by method what stopped it, if anything.
GUARDED_METHODS = (
    GUARDED.rpartition("sys.exit")[0]
    + """
import json
from pathlib import Path
from training.adapt import adapt
from training.config import TrainingConfig

settings, stopped = json.loads(sys.argv[2]), {}
output = Path(settings["output"])
for method in json.loads(sys.argv[3]):
    settings["output"] = str(output / method["name"])
    settings["adaptation"]["method"] = method
    try:
        adapt(TrainingConfig.model_validate(settings), prepared_in=output)
        stopped[method["name"]] = ""
    except Exception as error:
        stopped[method["name"]] = f"{type(error).__name__}: {error}"
print(json.dumps(stopped))
"""
)
# Every method there is; whether it is source-free is what it says itself.
METHODS = {
    get_args(config.model_fields["name"].annotation)[0]: config for config in get_args(get_args(MethodConfig)[0])
}


def plant_camvid(root: Path, make_frames: Callable[..., Path], *, split: str, first: int) -> None:
    """Four frames in CamVid's layout, with labels."""
    make_frames(root / "train", count=4, first=first)
    (root / "trainannot").mkdir()
    (root / "splits").mkdir()
    names = sorted(path.name for path in (root / "train").iterdir())
    (root / f"splits/{split}.txt").write_text("".join(f"train/{name}\n" for name in names))
    for number, name in enumerate(names):
        labels = np.random.default_rng(number).integers(0, 12, (8, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(root / "trainannot" / name)


@pytest.fixture(scope="module")
def world(make_folder: Callable[[str], Path], make_frames: Callable[..., Path]) -> Path:
    """Labelled source frames, a source network trained on them, and target frames whose labels lie beside them."""
    folder = make_folder("world")
    plant_camvid(folder / "source", make_frames, split="day", first=0)
    plant_camvid(folder / "target", make_frames, split="dusk", first=10)
    views = {"train_hw": [64, 96], "scale": [1.0, 1.2], "crop_hw": [32, 48]}
    optimizer = {"learning_rate": 1e-3, "warmup": 0, "horizon": 100}
    schedule: dict[str, Any] = {"views": views, "optimizer": optimizer, "iterations": 2, "batch_size": 2}
    source = {"layout": "camvid", "root": str(folder / "source"), "split": "day"}
    config = {
        "output": str(folder / "out"),
        "label_space": "camvid11",
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48]},
        "source": {"kind": "train", "frames": source, **schedule},
        "target": {"adapt": {"layout": "camvid", "root": str(folder / "target"), "split": "dusk"}},
        "adaptation": {"method": {"name": "iapc"}, "memory_hw": [64, 96], "min_classes": 2, **schedule},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump({"training": config}))
    assert main(["train-source", str(folder / "run.yaml")]) == 0
    return folder


def guarded(world: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that can open neither source data nor target labels."""
    forbidden = f"{world / 'source'}:{world / 'target/trainannot'}"
    command = [sys.executable, "-c", GUARDED, forbidden, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def with_test_set(world: Path) -> list[str]:
    test = f"{{layout: camvid, root: {world / 'target'}, split: dusk}}"
    return [str(world / "run.yaml"), "--set", f"target.test={test}"]


def test_adapt_needs_neither_source_data_nor_target_labels(world: Path) -> None:
    done = guarded(world, "adapt", str(world / "run.yaml"))
    assert done.returncode == 0, done.stderr
    assert "nothing to report against" in done.stderr
    assert load_network(world / "out/adapted.safetensors")[1].provenance["made_by"] == "adapt"


def test_labelled_report_is_what_the_guard_stops(world: Path) -> None:
    done = guarded(world, "evaluate", *with_test_set(world))
    assert done.returncode == 1
    assert f"forbidden: {world / 'target/trainannot'}" in done.stderr


def test_source_training_is_what_the_guard_stops(world: Path) -> None:
    done = guarded(
        world, "train-source", str(world / "run.yaml"), "--set", "seed=1", "--set", f"output={world / 'other'}"
    )
    assert done.returncode == 1
    assert f"forbidden: {world / 'source'}" in done.stderr


def test_report_without_a_guard_reads_the_labels(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *with_test_set(world)]) == 0
    assert "adapted_miou" in capsys.readouterr().out
    assert {"report.json", "comparison.png"} <= {path.name for path in (world / "out").iterdir()}


@pytest.fixture(scope="module")
def stopped(world: Path) -> dict[str, str]:
    """What stopped each method where source data cannot be opened, though the config says where they are."""
    settings = yaml.safe_load((world / "run.yaml").read_text())["training"]
    frames = settings["source"]["frames"]
    settings["source"] = {"kind": "checkpoint", "path": str(world / "out/source.safetensors"), "frames": frames}
    settings["output"] = str(world / "methods")
    methods = json.dumps([{"name": name} for name in METHODS])
    forbidden = f"{world / 'source'}:{world / 'target/trainannot'}"
    command = [sys.executable, "-c", GUARDED_METHODS, forbidden, json.dumps(settings), methods]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_opens_source_data_where_it_says_so_and_nowhere_else(
    stopped: dict[str, str], world: Path, name: str
) -> None:
    if METHODS[name].model_validate({"name": name}).needs.source:
        assert stopped[name].startswith(f"RuntimeError: forbidden: {world / 'source'}")
        assert not (world / "methods" / name / "adapted.safetensors").exists()
    else:
        assert stopped[name] == ""
        assert (world / "methods" / name / "adapted.safetensors").exists()


def test_there_are_methods_of_both_kinds() -> None:
    are_source_free = [not config.model_validate({"name": name}).needs.source for name, config in METHODS.items()]
    assert 3 < sum(are_source_free) < len(METHODS)
