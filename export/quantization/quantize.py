"""Float32 ONNX and ranges -> INT8 ONNX with QuantizeLinear and DequantizeLinear nodes, by ONNX Runtime's quantizer."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from export.onnx_graph import LOGITS
from export.quantization.layers import ACTIVATIONS, WEIGHTED, NetworkGraph
from export.quantization.ranges import Range
from runtime.bundle.manifest import Scheme
from runtime.files import replacing

__all__ = ["fitted_ranges", "quantize", "with_integers"]


def quantize(
    network: NetworkGraph,
    path: Path,
    *,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    float_layers: Collection[str] = (),
    reduce_range: bool = False,
) -> None:
    """Write the network with integers; same input and outputs as before. Same arguments, same bytes.

    `u8s8` has unsigned activations with a zero point, signed weights a channel and int32 biases. In `s8s8` everything
    is symmetric with zero points 0 and biases stay float, which is all that TensorRT takes.

    Args:
        network: the float32 graph.
        path: where the file goes.
        scheme: whose integers.
        ranges: of each activation; `fitted_ranges` are taken of them.
        float_layers: names of layers that stay in float32.
        reduce_range: seven bits for weights, for CPUs without VNNI.

    Raises:
        ConfigError: a float layer is not in the network.
        ValueError: there is no range for a tensor that must become an integer.
    """
    model = with_integers(network, scheme, ranges, float_layers=float_layers, reduce_range=reduce_range)
    _tidy(model, network.model)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def with_integers(
    network: NetworkGraph,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    *,
    float_layers: Collection[str] = (),
    reduce_range: bool = False,
) -> Any:
    """The model that `quantize` writes, but for the names and notes that the quantizer gave it."""
    network.require_layers(float_layers)
    nodes = network.integer_nodes(scheme, float_layers)
    tensors = network.integer_tensors(nodes)
    if missing := [name for name in tensors if name not in ranges and _needs_range(scheme, name, nodes)]:
        raise ValueError(f"no range for {', '.join(missing)}; calibrate this very graph")
    # The quantizer changes the model it is given.
    source = onnx.ModelProto()
    source.CopyFrom(network.model)
    if not nodes:
        return source
    fitted = fitted_ranges(network, ranges)
    quantizer = QDQQuantizer(
        source,
        per_channel=True,
        reduce_range=reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if scheme == "u8s8" else QuantType.QInt8,
        tensors_range={
            name: TensorData(lowest=np.float32(fitted[name][0]), highest=np.float32(fitted[name][1]))
            for name in tensors
            if name in fitted
        },
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in nodes}),
        extra_options=_options(scheme),
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def fitted_ranges(network: NetworkGraph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Ranges as integers use them: with zero inside, and behind an activation not beyond what it lets through.

    The quantizer drops a Relu whose output starts at zero, so a range that reached below it would bring negative
    values back. Maxima of a tensor share its integers, hence its range.
    """
    fitted = {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ranges.items()}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in network.model.graph.initializer}
    for node in network.model.graph.node:
        name = node.output[0]
        if node.op_type in ACTIVATIONS and name in fitted:
            lowest, highest = _bounds(node, constants)
            fitted[name] = (max(fitted[name][0], lowest), min(fitted[name][1], highest))
        if node.op_type == "MaxPool" and name in fitted and node.input[0] in fitted:
            fitted[name] = fitted[node.input[0]]
    return fitted


def _bounds(node: Any, constants: Mapping[str, Any]) -> Range:
    if node.op_type == "Relu":
        return 0.0, np.inf
    low, high = (
        constants[name] if name else default
        for name, default in zip((*node.input[1:], "", "")[:2], (-np.inf, np.inf), strict=True)
    )
    return float(low), float(high)


def _needs_range(scheme: Scheme, name: str, nodes: Collection[Any]) -> bool:
    """In `s8s8` what a layer writes stays float, unless another reads it as an integer."""
    return scheme == "u8s8" or any(name == node.input[0] for node in nodes)


def _options(scheme: Scheme) -> dict[str, Any]:
    if scheme == "u8s8":
        return {"ActivationSymmetric": False, "WeightSymmetric": True}
    return {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        # onnx-tensorrt refuses int32 biases.
        "QuantizeBias": False,
        # TensorRT takes sum and activation into the convolution before them, if nothing lies between.
        "OpTypesToExcludeOutputQuantization": list(WEIGHTED),
    }


def _tidy(model: Any, source: Any) -> None:
    """Keep what the float model said of itself, and the name `logits` for what the tail reads."""
    graph = model.graph
    del model.metadata_props[:]
    model.metadata_props.extend(source.metadata_props)
    model.producer_name, model.producer_version = source.producer_name, source.producer_version
    _keep_name(graph, LOGITS)
    made = {name for node in graph.node for name in node.output}
    for info in [info for info in graph.value_info if info.name not in made]:
        graph.value_info.remove(info)


def _keep_name(graph: Any, name: str) -> None:
    """Where a tensor was quantized, let its name go over to what its readers get."""
    if not any(node.op_type == "QuantizeLinear" and node.input[0] == name for node in graph.node):
        return
    dequantized, before = f"{name}_DequantizeLinear_Output", f"{name}_before_rounding"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, found in enumerate(names):
                if found in (name, dequantized):
                    names[place] = before if found == name else name
