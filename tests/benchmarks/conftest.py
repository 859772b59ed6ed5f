"""A real bundle of a small network, made once without the gate, with the network file it was made from."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.onnx_from_torch import onnx_from_torch
from export.onnx_graph import cut_to_logits
from export.torchscript_from_torch import torchscript_from_torch
from runtime.bundle.manifest import MANIFEST_NAME, Artefact, BundleFile, EngineInfo, Golden, Manifest, Parity
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.files import sha256_of, write_json
from tests.benchmarks.command_run import Exported
from training.checkpoint import NetworkSpec, save_network
from training.data.config import StreetsConfig
from training.data.open import open_frames
from training.frame_network import FrameNetwork
from training.networks.config import DeepLabV2Config
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
PROMISED = 0.98


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The networks are tiny; more threads only wait for each other."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


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
    source = open_frames(street_frames)
    frames = np.stack([source.image(index) for index in range(len(source))])
    torch.manual_seed(0)
    network = spec.build()
    assert isinstance(network, DeepLabV2)
    with torch.no_grad():
        _spread_logits(network, spec, frames)
    save_network(exported.checkpoint, network, spec)
    graph = spec.frame_network(network, FRAME_HW)
    graph.eval().requires_grad_(False)
    _write_bundle(exported, graph, spec, frames)
    return exported


@pytest.fixture
def exported(exported_once: Exported, tmp_path: Path) -> Exported:
    """A copy that a test may damage."""
    shutil.copy(exported_once.checkpoint, tmp_path)
    shutil.copytree(exported_once.bundle, tmp_path / "bundle")
    return Exported(tmp_path / exported_once.checkpoint.name, tmp_path / "bundle")


def _spread_logits(network: DeepLabV2, spec: NetworkSpec, frames: NDArray[np.uint8]) -> None:
    """Give the logits mean 0 and deviation 2 in every class, so that labels vary from pixel to pixel."""
    logits = network.eval()(spec.frame_input()(torch.from_numpy(frames), spec.network_hw)).logits
    mean, deviation = logits.mean(dim=(0, 2, 3)), logits.std(dim=(0, 2, 3))
    for index in range(len(list(network.classifier.children()))):
        network.get_parameter(f"classifier.{index}.weight").mul_((2 / deviation).view(-1, 1, 1, 1))
    network.get_parameter("classifier.0.bias").copy_(-2 * mean / deviation)


def _write_bundle(exported: Exported, graph: FrameNetwork, spec: NetworkSpec, frames: NDArray[np.uint8]) -> None:
    """The manifest promises less than there is: of random weights in bf16 little more than this can be expected."""
    bundle = exported.bundle
    bundle.mkdir()
    onnx_from_torch(graph, bundle / "fp32.onnx", {})
    cut_to_logits(bundle / "fp32.onnx", bundle / "fp32-logits.onnx")
    torchscript_from_torch(graph, bundle / "fp32.torchscript", {})
    (bundle / "fp32.engine").write_bytes(b"an engine for a GPU that no one has")
    labels = np.stack([graph(torch.from_numpy(frame)[None])[0][0].numpy() for frame in frames])
    np.save(bundle / "golden_frames.npy", frames)
    np.save(bundle / "golden_labels.npy", labels)
    keys = [feature.key for feature in describe(spec.label_space.names)]
    manifest = Manifest(
        frame_height=FRAME_HW[0],
        frame_width=FRAME_HW[1],
        network_height=FRAME_HW[0],
        network_width=FRAME_HW[1],
        align_corners=graph.network.align_corners,
        input=spec.model.convention,
        classes=spec.label_space.classes,
        artefacts=(
            _artefact(bundle / "fp32.onnx", "onnxruntime", format="onnx"),
            _artefact(bundle / "fp32-logits.onnx", "onnxruntime", format="onnx", tail="logits"),
            _artefact(bundle / "fp32.torchscript", "torch", format="torchscript"),
            _engine(bundle / "fp32.engine", sha256_of(bundle / "fp32.onnx")),
        ),
        golden=Golden(
            frames=_entry(bundle / "golden_frames.npy"),
            labels=_entry(bundle / "golden_labels.npy"),
            num_frames=len(frames),
        ),
        reference=reference_of(np.zeros((1, len(keys)), dtype=np.float32), keys),
        provenance={"checkpoint_sha256": sha256_of(exported.checkpoint)},
    )
    write_json(bundle / MANIFEST_NAME, manifest.model_dump(mode="json"))


def _entry(path: Path) -> BundleFile:
    return BundleFile(file=path.name, sha256=sha256_of(path), num_bytes=path.stat().st_size)


def _artefact(path: Path, engine: str, **described: Any) -> Artefact:
    parity = Parity(engine=engine, num_frames=3, label_agreement=PROMISED, max_confidence_difference=1)
    values = {"precision": "fp32", "parity": (parity,), "golden_agreement": PROMISED, **described}
    return Artefact(**_entry(path).model_dump(), **values)


def _engine(path: Path, onnx_sha256: str) -> Artefact:
    engine = EngineInfo(
        library="tensorrt_rtx",
        version="0.0",
        compute_capabilities=("0.1",),
        onnx_sha256=onnx_sha256,
        profile={"frame": (1, *FRAME_HW, 3)},
        workspace_mib=1,
        fingerprint="0" * 64,
    )
    return Artefact(
        **_entry(path).model_dump(), format="tensorrt", precision="fp32", engine=engine, not_run="no GPU of its kind"
    )
