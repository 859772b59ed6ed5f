"""What each layer loses by its integers, the others in float: which to keep, by measurement rather than by habit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.frame_sets import TargetFrames
from export.onnx_graph import LOGITS
from export.quantization.layers import Layer, NetworkGraph
from export.quantization.quantize import with_integers
from export.quantization.ranges import Range
from export.quantization.sessions import open_session
from runtime.bundle.manifest import Scheme
from runtime.command import progress, say

__all__ = ["LayerSensitivity", "measure_sensitivity", "sensitivity_table"]

# Multiply-accumulates that one report may cost: about three minutes on one core.
MAX_MACS = 15e12


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What a network loses when one layer has integers and all others have not.

    `logits_error` is the root mean square difference of the logits, relative to their deviation; `label_agreement` the
    share of logits' cells with the same largest class.
    """

    layer: str
    logits_error: float
    label_agreement: float
    num_weights: int


def measure_sensitivity(
    network: NetworkGraph,
    frames: TargetFrames,
    *,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    reduce_range: bool = False,
) -> tuple[LayerSensitivity, ...]:
    """Quantize each layer alone: its weights, its input, and its output where that is an integer of its own.

    One session serves all layers: each layer has a switch. Takes as many frames as a few minutes allow, spread evenly,
    at least one.

    Returns:
        One entry a layer, in the order of the graph.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    layers = list(network.layers.values())
    num_macs = sum(layer.num_macs for layer in layers) * (len(layers) + 1)
    num_frames = min(len(frames), max(1, int(MAX_MACS // num_macs)))
    some = frames.some(np.linspace(0, len(frames) - 1, num=num_frames, dtype=int).tolist())
    say(f"sensitivity of {len(layers)} layers in scheme {scheme}, measured on {num_frames} frames")
    integers = with_integers(network, scheme, ranges, reduce_range=reduce_range)
    session = open_session(_switched(network, integers, layers).SerializeToString())
    squares = np.zeros(len(layers))
    equal = np.zeros(len(layers))
    references = []
    pairs = ((frame, place) for frame in some for place in range(-1, len(layers)))
    for frame, place in progress(pairs, title="sensitivity", unit="run", total=len(some) * (len(layers) + 1)):
        logits = _run(session, frame, len(layers), place)
        if place < 0:
            references.append(logits)
        else:
            squares[place] += np.square(logits - references[-1], dtype=np.float64).mean()
            equal[place] += (logits.argmax(axis=0) == references[-1].argmax(axis=0)).mean()
    deviation = float(np.std(np.stack(references), dtype=np.float64))
    errors = np.sqrt(squares / len(some)) / deviation
    return tuple(
        LayerSensitivity(layer.name, float(error), float(share / len(some)), layer.num_weights)
        for layer, error, share in zip(layers, errors, equal, strict=True)
    )


def sensitivity_table(sensitivities: Sequence[LayerSensitivity]) -> str:
    """A Markdown table, the most sensitive layer first."""
    lines = ["| layer | logits error | label agreement | weights |", "|---|---:|---:|---:|"]
    lines += [
        f"| {entry.layer} | {entry.logits_error:.4f} | {entry.label_agreement:.4%} | {entry.num_weights} |"
        for entry in sorted(sensitivities, key=lambda entry: -entry.logits_error)
    ]
    return "\n".join(lines)


def _switch(index: int) -> str:
    return f"switch.{index}"


def _run(session: Any, frame: NDArray[np.uint8], num_layers: int, place: int) -> NDArray[np.float32]:
    switches = {_switch(index): np.array(index == place) for index in range(num_layers)}
    logits: NDArray[np.float32] = session.run(None, {"frame": frame, **switches})[0][0]
    return logits


def _switched(network: NetworkGraph, integers: Any, layers: Sequence[Layer]) -> Any:
    """The float graph, in which a switch a layer puts the numbers of the integer graph in place of its own."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    switches = _Switches(model.graph, integers.graph)
    read = {name for layer in layers for name in layer.inputs}
    for index, layer in enumerate(layers):
        model.graph.input.append(onnx.helper.make_tensor_value_info(_switch(index), onnx.TensorProto.BOOL, []))
        switches.add_weight(index, layer.weight, layer.nodes)
        for name in layer.inputs:
            switches.add_activation(index, name, layer.nodes)
        for name in layer.outputs:
            # What another layer reads is that layer's to answer for.
            if name not in read and switches.has_integers(name):
                switches.add_activation(index, name, None)
    switches.finish()
    return model


class _Switches:
    """Puts a choice between a tensor and what its integers stand for before the nodes that read it.

    An `If` runs the branch it takes; a `Where` would round every tensor of every layer in every run.
    """

    def __init__(self, graph: Any, integers: Any) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in integers.initializer}
        self._quantize = {node.input[0]: node for node in integers.node if node.op_type == "QuantizeLinear"}
        self._dequantize = {node.input[0]: node for node in integers.node if node.op_type == "DequantizeLinear"}
        self._choices: dict[str, list[Any]] = {}
        self._added: set[str] = set()
        self._result = LOGITS

    def has_integers(self, name: str) -> bool:
        """Whether an activation is rounded in the integer graph."""
        return name in self._quantize

    def add_weight(self, index: int, name: str, readers: Collection[str]) -> None:
        """Let a weight be what its integers stand for."""
        self._add_choice(index, name, [self._dequantize[f"{name}_quantized"]], readers)

    def add_activation(self, index: int, name: str, readers: Collection[str] | None) -> None:
        """Let an activation be rounded for these nodes; None means all that read it."""
        quantize = self._quantize[name]
        self._add_choice(index, name, [quantize, self._dequantize[quantize.output[0]]], readers)

    def finish(self) -> None:
        """Put every choice behind the node that makes its tensor; the choices on weights come first."""
        nodes = list(self._graph.node)
        made = {name for node in nodes for name in node.output}
        ordered = [choice for name, choices in self._choices.items() if name not in made for choice in choices]
        for node in nodes:
            ordered.append(node)
            ordered += [choice for name in node.output for choice in self._choices.get(name, [])]
        del self._graph.node[:]
        self._graph.node.extend(ordered)
        del self._graph.output[:]
        self._graph.output.append(onnx.helper.make_empty_tensor_value_info(self._result))

    def _add_choice(self, index: int, name: str, rounding: Sequence[Any], readers: Collection[str] | None) -> None:
        for node in rounding:
            self._add_constants(node.input)
        chosen = f"{_switch(index)}.{name}"
        same = onnx.helper.make_node("Identity", [name], [f"{chosen}.same"])
        for node in self._graph.node:
            if readers is None or node.name in readers:
                for place, found in enumerate(node.input):
                    if found == name:
                        node.input[place] = chosen
        if name == LOGITS:
            self._result = chosen
        self._choices.setdefault(name, []).append(
            onnx.helper.make_node(
                "If",
                [_switch(index)],
                [chosen],
                name=chosen,
                then_branch=_branch(rounding, f"{chosen}.rounded"),
                else_branch=_branch([same], f"{chosen}.float"),
            )
        )

    def _add_constants(self, names: Sequence[str]) -> None:
        """Bring the constants of the integer graph that a node needs over, each once."""
        for name in names:
            if name in self._constants and name not in self._added:
                self._added.add(name)
                self._graph.initializer.append(self._constants[name])


def _branch(nodes: Sequence[Any], name: str) -> Any:
    result = onnx.helper.make_empty_tensor_value_info(nodes[-1].output[0])
    result.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return onnx.helper.make_graph(list(nodes), name, [], [result])
