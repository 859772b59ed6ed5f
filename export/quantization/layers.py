"""The part of an ONNX graph that may be quantized: the network, between the tensors `image` and `logits`.

Preprocessing and tail stay as they are: they cost little, and an 8-bit image or class map of another rounding would
change labels for no gain.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from export.onnx_graph import IMAGE, LOGITS
from runtime.bundle.manifest import Scheme
from runtime.errors import BackendError, ConfigError

__all__ = ["Layer", "NetworkGraph", "read_network"]

WEIGHTED = ("Conv", "MatMul", "Gemm")
# What ONNX Runtime's CPU kernels do in 8 bits. In between float layers these would only add rounding.
ELEMENTWISE = ("Relu", "Clip", "Add", "MaxPool", "Concat")
ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight with the nodes that use it.

    `name` is the weight's, without `.weight` and the leading `network.`; `inputs` and `outputs` are those of its nodes,
    outputs behind the activation where one follows; `num_macs` are multiply-accumulates a frame.
    """

    name: str
    weight: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    num_weights: int
    num_macs: int


class NetworkGraph:
    """An ONNX model with its quantizable layers, by name, in the order of the graph."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._shapes = _float_shapes(model)
        self._weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        self._consumers = _consumers(model.graph)
        self._nodes = _between(model.graph, IMAGE, LOGITS)
        self.layers: Mapping[str, Layer] = self._find_layers()

    def num_elements(self, tensor: str) -> int:
        """Number of elements of a float tensor inside the network."""
        return math.prod(self._shapes[tensor])

    def require_layers(self, names: Collection[str]) -> None:
        """Refuse names that no layer has.

        Raises:
            ConfigError: with the names there are.
        """
        if unknown := [name for name in names if name not in self.layers]:
            raise ConfigError(
                f"export.int8.float_layers names {', '.join(unknown)}, which the network does not have; its layers are "
                f"{', '.join(self.layers)}"
            )

    def integer_nodes(self, scheme: Scheme, float_layers: Collection[str] = ()) -> tuple[Any, ...]:
        """The nodes that compute with integers.

        TensorRT fuses what lies between two layers by itself, so `s8s8` names layers alone. ONNX Runtime fuses a
        layer only where its output is an integer too, hence `u8s8` takes what lies between along, but only where all
        that feeds it is integer and something integer reads it: the sum that becomes the logits stays float.
        """
        layers = {node for layer in self.layers.values() if layer.name not in float_layers for node in layer.nodes}
        if scheme == "s8s8":
            return tuple(node for node in self._nodes if node.name in layers)
        made: set[str] = set()
        taken: dict[str, Any] = {}
        for node in self._nodes:
            if node.name in layers or (node.op_type in ELEMENTWISE and self._is_fed_by(made, node)):
                taken[node.name] = node
                made.update(node.output)
        for node in reversed(self._nodes):
            if node.name in taken and node.name not in layers and not self._stays(node, taken, layers):
                del taken[node.name]
        return tuple(taken.values())

    def kept_with(self, name: str, scheme: Scheme) -> frozenset[str]:
        """The layers that must stay in float for one layer to get its input unrounded.

        In `u8s8` a layer rounds what it writes, so the layer before has to stay too, if no third one reads between.
        """
        layer = self.layers[name]
        makers = set()
        if scheme == "u8s8":
            for other in self.layers.values():
                shared = set(other.outputs) & set(layer.inputs)
                if any(all(node.name in layer.nodes for node in self._consumers[tensor]) for tensor in shared):
                    makers.add(other.name)
        return frozenset({name, *makers})

    def integer_tensors(self, nodes: Collection[Any]) -> tuple[str, ...]:
        """The float tensors that these nodes read and write, each once, in the order of the graph."""
        names = (name for node in nodes for name in (*node.input, *node.output))
        return tuple(dict.fromkeys(name for name in names if name in self._shapes))

    def _is_fed_by(self, made: Collection[str], node: Any) -> bool:
        data = node.input[:1] if node.op_type == "Clip" else node.input
        return all(name in made for name in data)

    def _stays(self, node: Any, taken: Mapping[str, Any], layers: Collection[str]) -> bool:
        """Whether an integer node reads it, or it is an activation that its layer takes in."""
        if any(consumer.name in taken for consumer in self._consumers.get(node.output[0], ())):
            return True
        if node.op_type not in ACTIVATIONS:
            return False
        return any(producer.name in layers and node.input[0] in producer.output for producer in self._nodes)

    def _find_layers(self) -> Mapping[str, Layer]:
        by_weight: dict[str, list[Any]] = {}
        for node in self._nodes:
            if node.op_type in WEIGHTED and node.input[1] in self._weights:
                by_weight.setdefault(node.input[1], []).append(node)
        if not by_weight:
            raise BackendError(
                f"the ONNX graph has no convolution or matrix product with constant weights between {IMAGE!r} and "
                f"{LOGITS!r}, so there is nothing to quantize; remove the int8 forms from export.artefacts"
            )
        layers = (self._layer(weight, nodes) for weight, nodes in by_weight.items())
        return {layer.name: layer for layer in layers}

    def _layer(self, weight: str, nodes: list[Any]) -> Layer:
        shape = self._weights[weight]
        # Every output element of a convolution or product costs the weights of one channel or column.
        columns = {"Conv": shape[0], "MatMul": shape[-1], "Gemm": shape[0]}
        return Layer(
            name=weight.removesuffix(".weight").removeprefix("network."),
            weight=weight,
            nodes=tuple(node.name for node in nodes),
            inputs=tuple(dict.fromkeys(node.input[0] for node in nodes)),
            outputs=tuple(self._behind_activation(node.output[0]) for node in nodes),
            num_weights=math.prod(shape),
            num_macs=sum(
                self.num_elements(node.output[0]) * math.prod(shape) // columns[node.op_type] for node in nodes
            ),
        )

    def _behind_activation(self, tensor: str) -> str:
        consumers = self._consumers.get(tensor, [])
        if len(consumers) == 1 and consumers[0].op_type in ACTIVATIONS:
            return str(consumers[0].output[0])
        return tensor


def read_network(path: Path) -> NetworkGraph:
    """Read a float32 ONNX artefact.

    Raises:
        BackendError: it has no tensors `image` and `logits`, or nothing to quantize between them.
    """
    model = onnx.load(path, load_external_data=False)
    names = [node.name for node in model.graph.node]
    if len(set(names)) != len(names) or "" in names:
        for index, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{index}"
    return NetworkGraph(model)


def _float_shapes(model: Any) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the float tensors that nodes compute."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {}
    for info in (*graph.value_info, *graph.input, *graph.output):
        tensor = info.type.tensor_type
        if tensor.elem_type == onnx.TensorProto.FLOAT:
            shapes[info.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return {name: shape for name, shape in shapes.items() if name not in {t.name for t in graph.initializer}}


def _consumers(graph: Any) -> Mapping[str, list[Any]]:
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    return consumers


def _between(graph: Any, first: str, last: str) -> list[Any]:
    """Nodes on a path from one tensor to another, in the order of the graph."""
    forward, backward = {first}, {last}
    for node in graph.node:
        if any(name in forward for name in node.input):
            forward.update(node.output)
    for node in reversed(graph.node):
        if any(name in backward for name in node.output):
            backward.update(node.input)
    if first not in backward or last not in forward:
        raise BackendError(
            f"the ONNX graph has no path from tensor {first!r} to tensor {last!r}, so it cannot be told which part is "
            "the network; export it anew with onnx_from_torch"
        )
    return [
        node
        for node in graph.node
        if any(name in forward for name in node.input) and any(name in backward for name in node.output)
    ]
