"""A small network file, a folder of frames, and the bundle made of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.config import ExportConfig
from export.frozen import Frozen, freeze
from runtime.images import write_png
from training.checkpoint import NetworkSpec, save_network
from training.networks.config import DeepLabV2Config
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
NUM_FRAMES = 4
MakeNetwork = Callable[..., Path]
MakeConfig = Callable[..., ExportConfig]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


@pytest.fixture(scope="session")
def frames_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of large random tiles, so that neighbouring pixels get different labels."""
    folder = tmp_path_factory.mktemp("frames")
    tiles = np.random.default_rng(0).integers(0, 256, (NUM_FRAMES, 8, 12, 3), dtype=np.uint8)
    for index, frame in enumerate(tiles.repeat(8, axis=1).repeat(8, axis=2)):
        write_png(folder / f"{index}.png", frame)
    return folder


@pytest.fixture(scope="session")
def many_frames_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve such frames, enough to calibrate on some and judge on others."""
    folder = tmp_path_factory.mktemp("many_frames")
    tiles = np.random.default_rng(2).integers(0, 256, (12, 8, 12, 3), dtype=np.uint8)
    for index, frame in enumerate(tiles.repeat(8, axis=1).repeat(8, axis=2)):
        write_png(folder / f"{index:02}.png", frame)
    return folder


@pytest.fixture(scope="session")
def make_network(tmp_path_factory: pytest.TempPathFactory) -> MakeNetwork:
    """Writes a network file of seeded random weights.

    `change` alters the network before it is written; other arguments go into its model. A network that nothing
    alters is written once: tests only read it.
    """
    unaltered: dict[str, Path] = {}

    def make(*, change: Callable[[DeepLabV2], None] | None = None, **model_values: Any) -> Path:
        if change is None and repr(model_values) in unaltered:
            return unaltered[repr(model_values)]
        values = {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": FRAME_HW, **model_values}
        model = DeepLabV2Config.model_validate(values)
        spec = NetworkSpec(model=model, label_space="cityscapes19", provenance={"seed": 7})
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(7)
            network = spec.build()
            assert isinstance(network, DeepLabV2)
            _spread_logits(network, spec)
            if change is not None:
                change(network)
        path = tmp_path_factory.mktemp("network") / "network.safetensors"
        save_network(path, network, spec)
        if change is None:
            unaltered[repr(model_values)] = path
        return path

    return make


@pytest.fixture(scope="session")
def make_config(make_network: MakeNetwork, frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeConfig:
    """The `export` section for the small network; arguments replace its keys."""

    def make(**values: Any) -> ExportConfig:
        if "checkpoint" not in values:
            values["checkpoint"] = make_network()
        if "bundle" not in values:
            values["bundle"] = tmp_path_factory.mktemp("run") / "bundle"
        defaults = {"frames": {"layout": "folder", "root": frames_folder}, "num_gate_frames": NUM_FRAMES}
        return ExportConfig.model_validate({**defaults, **values})

    return make


@pytest.fixture(scope="session")
def exported(make_config: MakeConfig) -> ExportConfig:
    """The config of a bundle that is on disk: ONNX and TorchScript. Tests only read it."""
    from export.bundle import export_bundle

    config = make_config()
    export_bundle(config)
    return config


@pytest.fixture
def frozen(make_config: MakeConfig) -> Frozen:
    """The deploy graph of the small network, for a test to alter."""
    return freeze(make_config(), FRAME_HW)


@pytest.fixture(scope="session")
def ill_conditioned(make_network: MakeNetwork) -> Path:
    """A network whose logits are what rounding leaves of 1e6 - 1e6: each engine rounds in its own way."""

    def change(network: DeepLabV2) -> None:
        network.get_parameter("classifier.0.bias").add_(1e6)
        network.get_parameter("classifier.1.bias").sub_(1e6)

    return make_network(change=change)


@pytest.fixture
def some_frames() -> NDArray[np.uint8]:
    """Frames that are not in the folder, (3, 64, 96, 3)."""
    tiles = np.random.default_rng(1).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    return tiles.repeat(8, axis=1).repeat(8, axis=2)


def _spread_logits(network: DeepLabV2, spec: NetworkSpec) -> None:
    """Give the logits mean 0 and deviation 2 in every class, so that labels vary from pixel to pixel."""
    tiles = torch.randint(0, 256, (4, 8, 12, 3), dtype=torch.uint8)
    frames = tiles.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    logits = network.eval()(spec.frame_input()(frames, spec.network_hw)).logits
    mean, deviation = logits.mean(dim=(0, 2, 3)), logits.std(dim=(0, 2, 3))
    for index in range(len(list(network.classifier.children()))):
        network.get_parameter(f"classifier.{index}.weight").mul_((2 / deviation).view(-1, 1, 1, 1))
    network.get_parameter("classifier.0.bias").copy_(-2 * mean / deviation)
