"""A real bundle of a small network, exported once, with the network file it was made from."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from export.bundle import export_bundle
from export.config import ExportConfig
from training.checkpoint import NetworkSpec, save_network
from training.data.config import StreetsConfig
from training.networks.config import DeepLabV2Config

FRAME_HW = (64, 96)


class Exported(NamedTuple):
    """A network file and its bundle."""

    checkpoint: Path
    bundle: Path


@pytest.fixture(scope="session")
def street_frames() -> StreetsConfig:
    """Three rendered frames of the bundle's size."""
    return StreetsConfig(layout="streets", domain="target", first=0, count=3, height=FRAME_HW[0], width=FRAME_HW[1])


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory: pytest.TempPathFactory, street_frames: StreetsConfig) -> Exported:
    """A network of random weights and its bundle, for all tests of a run: exporting takes seconds."""
    folder = tmp_path_factory.mktemp("exported")
    exported = Exported(folder / "network.safetensors", folder / "bundle")
    spec = NetworkSpec(
        model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=FRAME_HW),
        label_space="cityscapes19",
    )
    torch.manual_seed(0)
    save_network(exported.checkpoint, spec.build(), spec)
    export_bundle(
        ExportConfig(
            checkpoint=exported.checkpoint,
            bundle=exported.bundle,
            frames=street_frames,
            artefacts=("onnx",),
            num_parity_frames=2,
            num_golden_frames=1,
        )
    )
    return exported


@pytest.fixture
def exported(exported_once: Exported, tmp_path: Path) -> Exported:
    """A copy that a test may damage."""
    shutil.copy(exported_once.checkpoint, tmp_path)
    shutil.copytree(exported_once.bundle, tmp_path / "bundle")
    return Exported(tmp_path / exported_once.checkpoint.name, tmp_path / "bundle")
