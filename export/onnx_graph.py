"""What export does to and asks of a finished ONNX file, whoever wrote it: this project, a quantizer, a user.

In every file of a bundle the tensor that enters the network is named `image` and the low-resolution logits that
leave it `logits`, so that a graph can be opened or cut there.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from export.onnx_library import import_onnx
from runtime.bundle.manifest import Precision
from runtime.errors import BackendError, GateError
from runtime.files import replacing

__all__ = ["IMAGE", "LOGITS", "cut_to_logits", "low_precision_share", "with_facts", "with_output"]

IMAGE = "image"
LOGITS = "logits"
_FLOATS = {"fp32": "FLOAT", "fp16": "FLOAT16", "bf16": "BFLOAT16"}
_INTEGERS = ("INT8", "UINT8")


def with_output(model: bytes, name: str) -> bytes:
    """The same graph that also gives an inner tensor, last of its outputs; unchanged where it gives it already.

    Raises:
        BackendError: onnx is not installed, or no tensor has that name.
    """
    onnx = import_onnx()
    loaded = onnx.load_model_from_string(model)
    if any(output.name == name for output in loaded.graph.output):
        return model
    loaded.graph.output.append(_inner(onnx, loaded, name))
    return _written(loaded)


def cut_to_logits(source: Path, path: Path) -> None:
    """Write a graph without its tail: `frame` in, `logits` (1, C, h, w) float32 out, metadata as it was.

    Raises:
        BackendError: onnx is not installed, or the graph has no tensor `logits`.
    """
    onnx = import_onnx()
    model = onnx.load_model(source)
    _inner(onnx, model, LOGITS)
    inferred = onnx.shape_inference.infer_shapes(model)
    cut = onnx.utils.Extractor(inferred).extract_model([value.name for value in model.graph.input], [LOGITS])
    cut.producer_name, cut.producer_version = model.producer_name, model.producer_version
    cut.graph.name = model.graph.name
    onnx.helper.set_model_props(cut, _facts(model))
    onnx.checker.check_model(cut, full_check=True)
    _write(cut, path)


def with_facts(path: Path, facts: Mapping[str, str]) -> None:
    """Write facts into the metadata of a file; facts of other names stay.

    Raises:
        BackendError: onnx is not installed.
    """
    onnx = import_onnx()
    model = onnx.load_model(path)
    onnx.helper.set_model_props(model, {**_facts(model), **facts})
    _write(model, path)


def low_precision_share(path: Path, precision: Precision) -> float:
    """Share of the multiply-accumulates of all convolutions and matrix products that a graph does in a precision.

    Those of fp32, fp16 and bf16 have both operands of that type; those of int8 take both out of DequantizeLinear of
    8-bit integers, which an engine fuses into integer arithmetic. A file that was to be fp16 and stayed fp32 has 0.

    Raises:
        BackendError: onnx is not installed.
        GateError: the graph has no such operations, or not all shapes in it are known.
    """
    onnx = import_onnx()
    graph = onnx.shape_inference.infer_shapes(onnx.load_model(path), data_prop=True).graph
    values = _Values(onnx, graph)
    counted = {True: 0, False: 0}
    for node in graph.node:
        if node.op_type in _MULTIPLY_ACCUMULATES:
            is_in_it = all(values.precision(name) == precision for name in node.input[:2])
            counted[is_in_it] += _MULTIPLY_ACCUMULATES[node.op_type](values, node)
    if not any(counted.values()):
        raise GateError(f"{path.name} has neither convolutions nor matrix products: its precision cannot be told")
    return counted[True] / sum(counted.values())


class _Values:
    """Types and shapes of a graph's tensors, and which of them stand for 8-bit integers."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.types, self.shapes = {}, {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            self.types[value.name] = onnx.TensorProto.DataType.Name(tensor.elem_type)
            self.shapes[value.name] = [dim.dim_value for dim in tensor.shape.dim]
        for weight in graph.initializer:
            self.types[weight.name] = onnx.TensorProto.DataType.Name(weight.data_type)
            self.shapes[weight.name] = list(weight.dims)
        self.quantized = {
            node.output[0]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and self.types.get(node.input[0]) in _INTEGERS
        }

    def precision(self, name: str) -> str | None:
        """Precision that a tensor has or stands for; None where it is none of ours."""
        if name in self.quantized:
            return "int8"
        found = self.types.get(name)
        return next((precision for precision, elements in _FLOATS.items() if elements == found), None)

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor.

        Raises:
            GateError: it is not known.
        """
        shape = self.shapes.get(name)
        if shape is None or 0 in shape:
            raise GateError(
                f"the shape of tensor {name!r} is not known ({shape}): export with static shapes, or let "
                "onnx.shape_inference know its operation"
            )
        return shape


def _of_convolution(values: _Values, node: Any) -> int:
    return math.prod(values.shape(node.output[0])) * math.prod(values.shape(node.input[1])[1:])


def _of_transposed_convolution(values: _Values, node: Any) -> int:
    return math.prod(values.shape(node.input[0])) * math.prod(values.shape(node.input[1])[1:])


def _of_matrix_product(values: _Values, node: Any) -> int:
    return math.prod(values.shape(node.output[0])) * values.shape(node.input[0])[-1]


def _of_gemm(values: _Values, node: Any) -> int:
    is_transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(values.shape(node.output[0])) * values.shape(node.input[0])[0 if is_transposed else 1]


_MULTIPLY_ACCUMULATES = {
    "Conv": _of_convolution,
    "ConvTranspose": _of_transposed_convolution,
    "MatMul": _of_matrix_product,
    "Gemm": _of_gemm,
}


def _inner(onnx: Any, model: Any, name: str) -> Any:
    """Type and shape of an inner tensor, as a graph's output needs them.

    Raises:
        BackendError: there is no such tensor, or its type is not known.
    """
    if name not in set(_outputs(model.graph)):
        raise BackendError(
            f"the ONNX graph has no tensor {name!r}; give a file that this project's export wrote, which names the "
            f"network's input {IMAGE!r} and its output {LOGITS!r}"
        )
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = next((value for value in (*graph.output, *graph.value_info) if value.name == name), None)
    if found is None:
        raise BackendError(f"onnx {onnx.__version__} cannot tell type and shape of tensor {name!r}")
    return found


def _outputs(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield from node.output


def _facts(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _written(model: Any) -> bytes:
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _write(model: Any, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(_written(model))
