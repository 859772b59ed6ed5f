"""Several bundles that answer slightly differently."""

import time
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from runtime.bundle.manifest import MANIFEST_NAME, Manifest
from runtime.bundle.opening import bundle_id_of

FRAME_HW = (16, 24)
GOLDEN_FRAMES = np.random.default_rng(0).integers(0, 256, (3, *FRAME_HW, 3), dtype=np.uint8)

# How much a network favours each channel: B and C agree with A nearly everywhere, OTHER hardly anywhere.
A, B, C, OTHER = (1.0, 1.0, 1.0), (1.0, 1.0, 0.875), (1.0, 0.875, 1.0), (0.125, 0.25, 1.0)


def network(favour: tuple[float, ...], confidence: float = 1.0) -> bytes:
    """labels = argmax of the favoured channels; confidence = the brightest channel, times a factor."""
    height, width = FRAME_HW
    nodes = [
        helper.make_node("Cast", ["frame"], ["frame_f32"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["frame_f32"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["image", "favour"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["labels"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["image"], ["brightest"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["brightest", "factor"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["confidence"], to=TensorProto.UINT8),
    ]
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, height, width]) for name in ("labels", "confidence")
    ]
    constants = [
        helper.make_tensor("favour", TensorProto.FLOAT, [1, 3, 1, 1], favour),
        helper.make_tensor("factor", TensorProto.FLOAT, [], [confidence]),
    ]
    graph = helper.make_graph(nodes, "favoured_channel", [frame], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def labels_of(frame: NDArray[np.uint8], favour: tuple[float, ...]) -> NDArray[np.uint8]:
    """What the network says."""
    logits = frame.astype(np.float32) * np.array(favour, dtype=np.float32)
    labels: NDArray[np.uint8] = np.argmax(logits, axis=-1).astype(np.uint8)
    return labels


def id_of(bundle: Path) -> str:
    """Its id."""
    return bundle_id_of(Manifest.model_validate_json((bundle / MANIFEST_NAME).read_bytes()))


def put(bundle: Path, place: Path) -> Path:
    """Replace what is at the place by a rename, as an exporter does; gives the place."""
    if place.exists():
        place.rename(place.with_name(f"{place.name}-{time.monotonic_ns()}"))
    return bundle.rename(place)
