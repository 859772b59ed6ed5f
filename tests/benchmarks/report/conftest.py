"""A run as its commands leave it: tiny networks, labels, documents; nothing of it was trained or measured."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.config import BenchmarksConfig
from benchmarks.report.write import write_report
from runtime.files import sha256_of, write_json
from runtime.images import write_png
from tests.benchmarks.report.documents import choose, ladder, latency, loop, manifest, peers, tune
from tests.benchmarks.report.opened import Opened, open_page
from training.checkpoint import NetworkSpec, save_network
from training.config import TrainingConfig
from training.data.config import StreetsConfig
from training.data.open import open_labelled_frames
from training.device import Compute
from training.networks.config import FactoryConfig
from training.networks.network import SegmentationNetwork
from training.preparation import prepared_settings
from training.source import fingerprint

FRAME_HW = (32, 64)
NUM_FRAMES, NUM_TEST = 6, 8
RUN_FILE = Path("configs/run.yaml")
FACTORY = "tests.my_networks:Small"
MODEL = {"kind": "factory", "factory": FACTORY, "feature_layer": "encoder", "network_hw": FRAME_HW}
ROWS = {
    "source only": {"miou": 40.25, "iou": {"road": 80.5, "sky": 30.0, "train": None}},
    "adapted": {"miou": 51.0, "iou": {"road": 90.06, "sky": 25.0, "train": None}},
}


def streets(first: int, count: int) -> StreetsConfig:
    """Rendered target frames."""
    return StreetsConfig(
        layout="streets", domain="target", first=first, count=count, height=FRAME_HW[0], width=FRAME_HW[1]
    )


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything a run leaves, and what was measured of it."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("training", "bundle", "bundle-gates", "output"):
        (folder / name).mkdir()
    spec = NetworkSpec(model=FactoryConfig.model_validate(MODEL), label_space="cityscapes19")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
        _make_various(network)
        save_network(folder / "source.safetensors", network, spec)
        config = _training(folder)
        told = {
            "source_sha256": sha256_of(folder / "source.safetensors"),
            "statistics_share": 0.7,
            "is_same_domain": False,
            "scores_before": {"entropy": 0.5},
        }
        _write_prepared(folder, config, network, spec.with_provenance(**told))
        _make_various(network)
    adapted = spec.with_provenance(
        **told,
        settings="feedbeef",
        scores_after={"entropy": 0.25},
        adaptation=config.adaptation.model_dump(mode="json"),
    )
    save_network(folder / "training" / "adapted.safetensors", network, adapted)
    _write_documents(folder)
    return folder


def _training(folder: Path) -> TrainingConfig:
    """The settings of the run, written down as `adapt` does."""
    hw = list(FRAME_HW)
    config = TrainingConfig.model_validate(
        {
            "output": str(folder / "training"),
            "label_space": "cityscapes19",
            "model": MODEL,
            "source": {"kind": "checkpoint", "path": str(folder / "source.safetensors")},
            "target": {
                "adapt": streets(0, NUM_FRAMES).model_dump(),
                "test": streets(1000, NUM_TEST).model_dump(),
            },
            "adaptation": {
                "method": {"name": "iapc"},
                "views": {"train_hw": hw, "crop_hw": hw, "scale": [1.0, 1.2]},
                "memory_hw": hw,
                "iterations": 5,
                "batch_size": 2,
            },
        }
    )
    write_json(folder / "training" / "adapt.config.json", config.model_dump(mode="json"))
    return config


def _make_various(network: SegmentationNetwork) -> None:
    """Weights of the classifier anew: labels vary from pixel to pixel, and from network to network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "classifier" in name:
                parameter.normal_()


def _write_prepared(folder: Path, config: TrainingConfig, network: SegmentationNetwork, spec: NetworkSpec) -> None:
    """Pseudo-labels that are the truth in the lower half and `sky` above it; importance 0.2 everywhere."""
    frames = open_labelled_frames(streets(0, NUM_FRAMES), spec.label_space)
    settings = prepared_settings(config, spec.provenance["source_sha256"], frames)
    name = fingerprint(settings, Compute(torch.device("cpu"), "fp32"))
    prepared = folder / "training" / "prepared" / name
    for kind in ("pseudo_labels", "importance_prob_ratio"):
        (prepared / kind).mkdir(parents=True)
    save_network(prepared / "initial.safetensors", network, spec)
    for index in range(len(frames)):
        label = frames.label(index).copy()
        label[: FRAME_HW[0] // 2] = spec.label_space.train_id("sky")
        write_png(prepared / "pseudo_labels" / f"{index:06d}.png", label)
        write_png(prepared / "importance_prob_ratio" / f"{index:06d}.png", np.full(FRAME_HW, 51, dtype=np.uint8))


def _write_documents(folder: Path) -> None:
    write_json(folder / "training" / "report.json", ROWS)
    log = folder / "training" / "adapt" / "feedbeef"
    log.mkdir(parents=True)
    steps = [{"step": step, "enhanced": 2.0 - step / 10, "lr": 0.001, "images_per_s": 3.5} for step in range(5)]
    (log / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    found = manifest(sha256_of(folder / "training" / "adapted.safetensors")).model_dump(mode="json")
    write_json(folder / "bundle" / "manifest.json", found)
    gates = [{**artefact, "verdict": "kept", "problems": []} for artefact in found["artefacts"]]
    gates.append({**found["artefacts"][1], "file": "int8-gpu.onnx", "verdict": "refused", "problems": ["road is lost"]})
    write_json(folder / "bundle-gates" / "gates.json", gates)
    sha256 = sha256_of(folder / "bundle" / "manifest.json")
    documents = {
        "latency": latency(sha256),
        "ladder": ladder(sha256),
        "loop": loop(sha256),
        "peers": peers(sha256),
        "tune": tune(sha256),
    }
    for name, document in documents.items():
        write_json(folder / "output" / f"{name}.json", document.model_dump(mode="json"))
    chosen = choose(folder / "output" / "ladder.json")
    write_json(folder / "output" / "choose.json", chosen.model_dump(mode="json"))


@pytest.fixture
def folder(run_once: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may damage; networks are links."""

    def copy(source: str, target: str) -> None:
        if source.endswith(".safetensors"):
            Path(target).symlink_to(source)
        else:
            shutil.copy(source, target)

    shutil.copytree(run_once, tmp_path / "run", copy_function=copy)
    return tmp_path / "run"


def config_of(folder: Path) -> BenchmarksConfig:
    """Where everything of the run in a folder is."""
    return BenchmarksConfig(
        bundle=folder / "bundle",
        checkpoint=folder / "training" / "adapted.safetensors",
        frames=streets(0, NUM_FRAMES),
        factory=FACTORY,
        output=folder / "output",
        training_output=folder / "training",
        adapt_truth=streets(0, NUM_FRAMES),
    )


@pytest.fixture(scope="session")
def whole(run_once: Path) -> Opened:
    """The report of the whole run, for tests that only read it."""
    path = Path(write_report(config_of(run_once), RUN_FILE, ())["report"])
    # Copies of the run are to hold no report yet.
    return open_page(path.rename(run_once / "whole.html"))


@pytest.fixture
def config(folder: Path) -> BenchmarksConfig:
    """The run that a test may damage."""
    return config_of(folder)


@pytest.fixture
def page(config: BenchmarksConfig) -> Callable[..., Opened]:
    """Writes the report of a config, by default the run's, and opens it."""

    def written(of: BenchmarksConfig | None = None, overrides: tuple[str, ...] = ()) -> Opened:
        figures = write_report(of or config, RUN_FILE, overrides)
        return open_page(Path(figures["report"]))

    return written
