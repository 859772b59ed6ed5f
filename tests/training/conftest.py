"""What the tests of the first stage share: one thread (the tensors are tiny), a device, a network, frames on disk."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.checkpoint import NetworkSpec
from training.device import Compute
from training.networks import DeepLabV2

MakeFrames = Callable[..., Path]


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
    return NetworkSpec(backbone="resnet18", input="rgb_imagenet", label_space="camvid11", network_hw=(32, 48))


@pytest.fixture
def network(spec: NetworkSpec) -> DeepLabV2:
    """A network with the same random weights in every test; its classifier is strong enough to tell pixels apart."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
        for branch in network.classifier:
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
