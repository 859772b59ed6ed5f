"""A real bundle, small enough to work out by hand: each pixel's class is its strongest colour channel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from runtime.bundle.manifest import (
    MANIFEST_NAME,
    Artefact,
    BundleFile,
    Golden,
    InputConvention,
    Manifest,
    Parity,
)
from runtime.drift.features import describe, features_of
from runtime.drift.reference import Reference, reference_of
from runtime.files import sha256_of, write_json
from runtime.labels import ClassInfo

FRAME_HW = (16, 24)
CLASSES = ("road", "sky", "car")
# What a bundle says of its network, as far as a vehicle reads it.
PROVENANCE = {
    "checkpoint_sha256": "a5" * 32,
    "network": {"model": {"kind": "deeplab_v2"}, "label_space": "cityscapes19"},
    "adaptation": {"iterations": 300},
    "export": {"checkpoint": "runs/tiny/adapted.safetensors", "artefacts": ["fp32.onnx"]},
}
MakeBundle = Callable[..., Path]


def strongest_channel_model(frame_dtype: int = TensorProto.UINT8) -> bytes:
    """labels = argmax of R, G, B; confidence = their maximum."""
    height, width = FRAME_HW
    identity = helper.make_tensor("weight", TensorProto.FLOAT, [3, 3, 1, 1], np.eye(3, dtype=np.float32).ravel())
    nodes = [
        helper.make_node("Cast", ["frame"], ["frame_f32"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["frame_f32"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "weight"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["labels"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["logits"], ["strongest"], axes=[1], keepdims=0),
        helper.make_node("Cast", ["strongest"], ["confidence"], to=TensorProto.UINT8),
    ]
    frame = helper.make_tensor_value_info("frame", frame_dtype, [1, height, width, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, height, width]) for name in ("labels", "confidence")
    ]
    graph = helper.make_graph(nodes, "strongest_channel", [frame], outputs, [identity])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": sha256_of(path), "num_bytes": path.stat().st_size}


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Writes a bundle; arguments replace its network, golden labels, reference or its artefact's parity."""

    def make(
        *,
        model: bytes | None = None,
        golden_labels: Callable[[NDArray[np.uint8]], NDArray[Any]] = lambda labels: labels,
        reference: Reference | None = None,
        **artefact: Any,
    ) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        frames = np.random.default_rng(0).integers(0, 256, (3, *FRAME_HW, 3), dtype=np.uint8)
        (folder / "fp32.onnx").write_bytes(model or strongest_channel_model())
        np.save(folder / "golden_frames.npy", frames)
        np.save(folder / "golden_labels.npy", golden_labels(frames.argmax(axis=-1).astype(np.uint8)))
        keys = [feature.key for feature in describe(CLASSES)]
        shown = [features_of(frame, frame.argmax(axis=-1).astype(np.uint8), frame.max(axis=-1), 3) for frame in frames]
        parity = Parity(engine="onnxruntime", num_frames=3, label_agreement=1.0, max_confidence_difference=0)
        described = {"format": "onnx", "precision": "fp32", "parity": (parity,), **artefact}
        manifest = Manifest(
            frame_height=FRAME_HW[0],
            frame_width=FRAME_HW[1],
            network_height=FRAME_HW[0],
            network_width=FRAME_HW[1],
            align_corners=False,
            input=InputConvention(channel_order="rgb", mean=(0, 0, 0), std=(1, 1, 1)),
            classes=(
                ClassInfo(name=CLASSES[0], colour=(128, 64, 128)),
                ClassInfo(name=CLASSES[1], colour=(70, 130, 180)),
                ClassInfo(name=CLASSES[2], colour=(0, 0, 142)),
            ),
            artefacts=(Artefact(**_entry(folder / "fp32.onnx"), **described),),
            golden=Golden(
                frames=BundleFile(**_entry(folder / "golden_frames.npy")),
                labels=BundleFile(**_entry(folder / "golden_labels.npy")),
                num_frames=3,
            ),
            reference=reference or reference_of(np.stack(shown), keys),
            provenance=PROVENANCE,
        )
        write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
        return folder

    return make


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Path:
    """The bundle as export would write it."""
    return make_bundle()


@pytest.fixture
def float_input_model() -> bytes:
    """A network whose frame is float32, which no manifest allows."""
    return strongest_channel_model(TensorProto.FLOAT)


@pytest.fixture
def striped_frame() -> NDArray[np.uint8]:
    """Left third red (road), middle green (sky), right blue (car); the blue is the weakest."""
    frame = np.zeros((*FRAME_HW, 3), dtype=np.uint8)
    frame[:, :8, 0], frame[:, 8:16, 1], frame[:, 16:, 2] = 250, 200, 150
    return frame


@pytest.fixture
def striped_labels() -> NDArray[np.uint8]:
    """What the network must say about `striped_frame`."""
    return np.repeat(np.array([[0, 1, 2]], dtype=np.uint8), 8, axis=1).repeat(FRAME_HW[0], axis=0)


@pytest.fixture
def logits_model() -> bytes:
    """The same network without its tail: the logits are the channels."""
    return logits_network(np.eye(3, dtype=np.float32))


def logits_network(weights: NDArray[np.float32], stride: int = 1) -> bytes:
    """logits = weights (C, 3) times the colour of every `stride`th pixel."""
    height, width = FRAME_HW
    num_classes = len(weights)
    kernel = helper.make_tensor("weight", TensorProto.FLOAT, [num_classes, 3, 1, 1], weights.ravel())
    nodes = [
        helper.make_node("Cast", ["frame"], ["frame_f32"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["frame_f32"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "weight"], ["logits"], strides=[stride, stride]),
    ]
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3])
    shape = [1, num_classes, height // stride, width // stride]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "logits", [frame], [logits], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture
def make_logits_network() -> Callable[..., bytes]:
    """Gives `logits_network`."""
    return logits_network


@pytest.fixture
def add_artefact() -> Callable[..., None]:
    """Adds an artefact, its file and its entry in the manifest, to a bundle; arguments replace its description."""

    def add(bundle: Path, file: str, content: bytes, **described: Any) -> None:
        (bundle / file).write_bytes(content)
        manifest = json.loads((bundle / MANIFEST_NAME).read_text())
        entry = {**manifest["artefacts"][0], **_entry(bundle / file), **described}
        manifest["artefacts"].append(entry)
        write_json(bundle / MANIFEST_NAME, manifest)

    return add


@pytest.fixture
def outside_weights_model() -> bytes:
    """The network, with its weights in the file weights.bin."""
    model = onnx.load_from_string(strongest_channel_model())
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    return bytes(model.SerializeToString())
