"""What the tests of the first stage share: one thread (the tensors are tiny), a device, a network, frames on disk."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from training.checkpoint import NetworkSpec, save_network
from training.device import Compute
from training.networks.config import DeepLabV2Config
from training.networks.deeplab_v2 import DeepLabV2

MakeFrames = Callable[..., Path]
MakeConfig = Callable[..., str]
MakeSettings = Callable[..., dict[str, Any]]
StartTwo = Callable[..., subprocess.Popen[str]]
RunTwo = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


@pytest.fixture(scope="session")
def compute() -> Compute:
    return Compute(torch.device("cpu"), "fp32")


@pytest.fixture(scope="session")
def spec() -> NetworkSpec:
    return NetworkSpec(
        model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(32, 48)),
        label_space="camvid11",
    )


@pytest.fixture
def network(spec: NetworkSpec) -> DeepLabV2:
    """A network with the same random weights in every test; its classifier is strong enough to tell pixels apart."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
        assert isinstance(network, DeepLabV2)
        for branch in network.classifier.children():
            torch.nn.init.normal_(branch.get_parameter("weight"), std=0.05)
    return network


@pytest.fixture(scope="session")
def make_frames() -> MakeFrames:
    """Writes a folder of distinct noisy images."""

    def make(folder: Path, *, count: int, hw: tuple[int, int] = (64, 96), first: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            coarse = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((hw[1], hw[0]), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
        return folder

    return make


def adapt_settings(world: Path, output: Path, **adaptation: Any) -> dict[str, Any]:
    """The `training` section of a tiny adaptation; keyword arguments replace keys of `adaptation`."""
    return {
        "output": str(output),
        "label_space": "camvid11",
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48]},
        "source": {"kind": "checkpoint", "path": str(world / "source.safetensors")},
        "target": {"adapt": {"layout": "folder", "root": str(world / "frames")}},
        "adaptation": {
            "method": {"name": "iapc", "ema_momentum": 0.9},
            "pseudo_labels": {"scales": [1.0], "mirror": False},
            "views": {"train_hw": [64, 96], "scale": [1.0, 1.2], "crop_hw": [32, 48]},
            "memory_hw": [64, 96],
            # Networks of random weights lose classes as they please.
            "max_lost_classes": 1.0,
            "min_classes": 2,
            "optimizer": {"learning_rate": 1e-2, "warmup": 0, "horizon": 100},
            "iterations": 4,
            "batch_size": 2,
            "checkpoint_every": 1,
            **adaptation,
        },
    }


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, make_frames: MakeFrames, spec: NetworkSpec) -> Path:
    """Five unlabelled frames and a source network."""
    folder = tmp_path_factory.mktemp("world")
    make_frames(folder / "frames", count=5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(folder / "source.safetensors", spec.build(), spec)
    return folder


@pytest.fixture
def make_config(world: Path, tmp_path: Path) -> MakeConfig:
    """Writes a run file with output in `tmp_path/out`; arguments replace keys of `adaptation`."""

    def make(**adaptation: Any) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump({"training": adapt_settings(world, tmp_path / "out", **adaptation)}))
        return str(path)

    return make


@pytest.fixture(scope="session")
def make_settings() -> MakeSettings:
    return adapt_settings


@pytest.fixture(scope="session")
def start_two() -> StartTwo:
    """Starts two processes of one thread each under torchrun; they meet at a port the system chooses."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *arguments]
        environment, pipe = {**os.environ, "OMP_NUM_THREADS": "1"}, subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture(scope="session")
def run_two(start_two: StartTwo) -> RunTwo:
    """Runs two processes to their end, which has to come within two minutes."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        process = start_two(*arguments)
        try:
            output, told = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.terminate()  # and not `kill`, at which the two would live on
            pytest.fail(f"the processes hang: {process.communicate()}")
        return subprocess.CompletedProcess(process.args, process.returncode, output, told)

    return run
