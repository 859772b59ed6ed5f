"""What the tests of `methods` share: a random network, rendered streets with labels, and a run file over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.config import MethodsConfig
from runtime.config import load_config
from training.checkpoint import NetworkSpec, save_network
from training.config import TrainingConfig
from training.networks.config import DeepLabV2Config

MakeRun = Callable[..., str]


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source network that tells pixels apart at random, and moves slowly."""
    folder = tmp_path_factory.mktemp("town")
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(32, 48))
    spec = NetworkSpec(model=model, label_space="cityscapes19")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
        for name, parameter in network.named_parameters():
            if name.startswith("classifier") and name.endswith("weight"):
                torch.nn.init.normal_(parameter, std=0.05)
        save_network(folder / "source.safetensors", network, spec)
    return folder


@pytest.fixture(scope="session")
def make_run(town: Path) -> MakeRun:
    """Writes a run file with output beside it; `has_labels` gives the target a test set, the rest is the group."""

    def streets(first: int) -> dict[str, Any]:
        return {"layout": "streets", "domain": "target", "first": first, "count": 2, "height": 64, "width": 96}

    def make(folder: Path, *, has_labels: bool = True, **methods: Any) -> str:
        training = {
            "output": str(folder / "out"),
            "label_space": "cityscapes19",
            "device": "cpu",
            "precision": "fp32",
            "workers": 0,
            "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48]},
            "source": {"kind": "checkpoint", "path": str(town / "source.safetensors")},
            "target": {"adapt": streets(0), **({"test": streets(9)} if has_labels else {})},
            "adaptation": {
                "method": {"name": "iapc", "ema_momentum": 0.9},
                "pseudo_labels": {"scales": [1.0], "mirror": False},
                "views": {"train_hw": [64, 96], "scale": [1.0, 1.2], "crop_hw": [32, 48]},
                "memory_hw": [64, 96],
                # Networks of random weights lose classes as they please.
                "max_lost_classes": 1.0,
                "min_classes": 2,
                "optimizer": {"learning_rate": 2e-5, "warmup": 0, "horizon": 100},
                "iterations": 1,
                "batch_size": 2,
                "checkpoint_every": 1,
            },
        }
        path = folder / "run.yaml"
        benchmarks = {"output": str(folder / "out"), "methods": methods}
        path.write_text(yaml.safe_dump({"training": training, "benchmarks": benchmarks}))
        return str(path)

    return make


@pytest.fixture(scope="session")
def comparison(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Of seven steps a cell; nothing of it has run."""
    path = make_run(tmp_path_factory.mktemp("comparison"))
    return Comparison.of("run", load_config(Path(path), "training", TrainingConfig), MethodsConfig(iterations=7))
