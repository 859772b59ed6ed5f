"""Which layers of an INT8 graph are not INT8, read from the file itself."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx

__all__ = ["float_layers_problem"]

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def float_layers_problem(path: Path, float_layers: Collection[str]) -> str | None:
    """What is wrong with an INT8 graph's layers, in a sentence; None where all but the named ones are INT8.

    A layer is a convolution or matrix product with weights of its own. It may be named by its node, by its weights, or
    by the module they belong to, within the deploy graph or within the network.

    Args:
        path: the ONNX file.
        float_layers: those that may stay in float32.
    """
    graph = onnx.load(path, load_external_data=False).graph
    producers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    left = []
    for node in graph.node:
        if node.op_type not in LAYERS:
            continue
        weight = _weight(node, producers, constants)
        if weight is None or all(_is_dequantized(name, producers) for name in node.input[:2]):
            continue
        module = weight.removesuffix(".weight")
        if not {node.name, weight, module, module.removeprefix("network.")} & set(float_layers):
            left.append(node.name or weight)
    if not left:
        return None
    return (
        f"{len(left)} of its layers compute in float32 ({', '.join(left[:3])}{', ...' if len(left) > 3 else ''}), "
        f"expected all but {len(float_layers)} named ones in int8"
    )


def _weight(node: Any, producers: dict[str, Any], constants: set[str]) -> str | None:
    """Name of the initializer that a layer's weights come from; None where both operands are computed."""
    for name in reversed(node.input[:2]):
        source = str(name)
        while source in producers and producers[source].op_type in ("DequantizeLinear", "QuantizeLinear", "Transpose"):
            source = str(producers[source].input[0])
        if source in constants:
            return source.removesuffix("_quantized")
    return None


def _is_dequantized(name: str, producers: dict[str, Any]) -> bool:
    while name in producers and producers[name].op_type == "Transpose":
        name = producers[name].input[0]
    return name in producers and producers[name].op_type == "DequantizeLinear"
