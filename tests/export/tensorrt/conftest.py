"""Deploy graphs of two convolutions, one for each precision, as small as a TensorRT parser still finds interesting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.backends.tensorrt.library import EngineLibrary, find_engine_library
from runtime.bundle.manifest import Precision
from runtime.errors import BackendError

FRAME_HW = (16, 24)
NUM_CLASSES, WIDTH = 5, 64
MakeModel = Callable[..., Path]
NUMPY_TYPES: dict[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
}


class Weights:
    """Named, seeded constants of a graph."""

    def __init__(self) -> None:
        self.tensors: list[onnx.TensorProto] = []
        self._generator = np.random.default_rng(0)

    def add(self, name: str, values: Any) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def random(self, name: str, shape: tuple[int, ...], dtype: int) -> str:
        return self.add(name, self._generator.normal(0.0, 0.1, shape).astype(NUMPY_TYPES[dtype]))


@pytest.fixture
def rtx() -> EngineLibrary:
    """TensorRT-RTX, the only one that builds where there is no GPU."""
    try:
        library = find_engine_library()
    except BackendError as error:
        pytest.skip(str(error))
    if library.name != "tensorrt_rtx":
        pytest.skip("TensorRT is installed, which builds for the GPU it runs on")
    return library


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Writes `<name>.onnx`: two convolutions of a precision; `unsigned` gives INT8 as CPUs want it.

    `float_convolutions` convolutions of an INT8 graph stay in float32; `height` may be a name, for a free dimension.
    """

    def make(
        name: str,
        precision: Precision = "fp32",
        *,
        unsigned: bool = False,
        float_convolutions: int = 0,
        height: int | str = FRAME_HW[0],
    ) -> Path:
        dtype = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}.get(precision, TensorProto.FLOAT)
        weights = Weights()
        nodes = [
            helper.make_node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Div", ["planes", weights.add("std", np.float32(255))], ["normalised"]),
            helper.make_node("Cast", ["normalised"], ["image"], to=dtype),
        ]
        data = "image"
        for index, (inputs, outputs) in enumerate([(3, WIDTH), (WIDTH, NUM_CLASSES)]):
            weight = weights.random(f"weight{index}", (outputs, inputs, 3, 3), dtype)
            if precision == "int8" and index >= float_convolutions:
                data = _quantized(nodes, weights, data, f"q{index}", unsigned=unsigned)
                weight = _quantized(nodes, weights, weight, f"w{index}", unsigned=False)
            nodes.append(helper.make_node("Conv", [data, weight], [f"sum{index}"], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [f"sum{index}"], [f"data{index}"]))
            data = f"data{index}"
        nodes += [
            helper.make_node("Cast", [data], ["logits"], to=TensorProto.FLOAT),
            helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["labels"], to=TensorProto.UINT8),
            helper.make_node("ReduceMax", ["logits"], ["strongest"], axes=[1], keepdims=0),
            helper.make_node("Cast", ["strongest"], ["confidence"], to=TensorProto.UINT8),
        ]
        frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, FRAME_HW[1], 3])
        maps = [
            helper.make_tensor_value_info(output, TensorProto.UINT8, [1, height, FRAME_HW[1]])
            for output in ("labels", "confidence")
        ]
        graph = helper.make_graph(nodes, name, [frame], maps, weights.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return make


def _quantized(nodes: list[Any], weights: Weights, tensor: str, name: str, *, unsigned: bool) -> str:
    """Add QuantizeLinear and DequantizeLinear behind a tensor."""
    scale = weights.add(f"{name}_scale", np.float32(1 / 64))
    zero = weights.add(f"{name}_zero", np.uint8(128) if unsigned else np.int8(0))
    nodes.append(helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{name}_integers"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{name}_integers", scale, zero], [name]))
    return name
