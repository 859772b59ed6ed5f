"""A float32 ONNX graph -> the same graph whose network computes in fp16 or bf16.

Engines that take the types of a graph at their word, as TensorRT's strongly-typed networks do, need them in the graph.
Types are changed after export and not in torch, so that batch norm is folded in float32 and each weight is rounded
once; what comes before `image` and behind `logits` stays float32.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from export.onnx_graph import IMAGE, LOGITS
from export.onnx_library import import_onnx
from runtime.errors import BackendError, GateError

__all__ = ["LowPrecision", "lower_precision"]

LowPrecision = Literal["fp16", "bf16"]


def lower_precision(model: Any, precision: LowPrecision) -> None:
    """Let the part of a graph between `image` and `logits` compute in a lower type, in place.

    `image` then has that type, `logits` float32 as before. A node whose operation does not know the type stays
    float32 behind casts, and so does one that has its type in an attribute.

    Args:
        model: an onnx.ModelProto with static shapes, whose tensors have the names that this project gives.
        precision: the type.

    Raises:
        BackendError: the graph has branches or loops.
        GateError: a weight is beyond what the type holds.
    """
    onnx = import_onnx()
    _Lowering(onnx, model, precision).run()


class _Lowering:
    """One pass over a graph, from `image` to `logits`."""

    def __init__(self, onnx: Any, model: Any, precision: LowPrecision) -> None:
        self.onnx, self.graph, self.precision = onnx, model.graph, precision
        self.high = onnx.TensorProto.FLOAT
        self.low = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
        self.low_schema = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}[precision]
        self.opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self.weights = {weight.name: weight for weight in self.graph.initializer}
        self.types = self._types(model)
        self.nodes: list[Any] = []
        self.made: dict[tuple[str, int], str] = {}

    def run(self) -> None:
        inside = self._inside()
        for index, node in enumerate(self.graph.node):
            if index in inside:
                self._lower(node)
            else:
                self.nodes.append(node)
            if IMAGE in node.output:
                self._cast_image(node)
        self._keep_logits()
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._replace_weights()
        self._tell_types()

    def _types(self, model: Any) -> dict[str, int]:
        graph = self.onnx.shape_inference.infer_shapes(model).graph
        types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
        return types | {name: weight.data_type for name, weight in self.weights.items()}

    def _inside(self) -> set[int]:
        """Places of the nodes that depend on `image` and that `logits` depend on."""
        behind, before = {IMAGE}, {LOGITS}
        for node in self.graph.node:
            if behind.intersection(node.input):
                behind.update(node.output)
        for node in reversed(self.graph.node):
            if before.intersection(node.output):
                before.update(name for name in node.input if name)
        return {
            index
            for index, node in enumerate(self.graph.node)
            if behind.intersection(node.input) and before.intersection(node.output)
        }

    def _lower(self, node: Any) -> None:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise BackendError(
                f"the ONNX graph branches or loops ({node.op_type} {node.name}), which cannot be made "
                f"{self.precision}; export this network in fp32"
            )
        takes_low, gives_low = self._allowed(node)
        is_low = all(gives_low[index] for index, name in enumerate(node.output) if self._was_high(name))
        for index, name in enumerate(node.input):
            if name and self._was_high(name):
                wanted = self.low if is_low and takes_low[index] else self.high
                node.input[index] = self._as_type(name, wanted)
        self.nodes.append(node)
        for name in node.output:
            if self._was_high(name):
                self.types[name] = self.low if is_low else self.high

    def _was_high(self, name: str) -> bool:
        return self.types.get(name) in (self.high, self.low)

    def _as_type(self, name: str, wanted: int) -> str:
        """Name of a tensor in a type, which is made where it is not there yet."""
        if self.types[name] == wanted:
            return name
        if (name, wanted) not in self.made:
            made = f"{name}_{self.onnx.TensorProto.DataType.Name(wanted).lower()}"
            if name in self.weights:
                self.graph.initializer.append(self._rounded(self.weights[name], made))
            else:
                self.nodes.append(self._cast(name, made, wanted))
            self.made[name, wanted] = made
        return self.made[name, wanted]

    def _rounded(self, weight: Any, name: str) -> Any:
        values = self.onnx.numpy_helper.to_array(weight)
        dtype = self.onnx.helper.tensor_dtype_to_np_dtype(self.low)
        with np.errstate(over="ignore"):
            rounded = values.astype(dtype)
        if not np.isfinite(rounded.astype(np.float32)).all():
            largest = float(np.abs(values).max())
            limit = 65504 if self.precision == "fp16" else 3.39e38
            raise GateError(
                f"weight {weight.name} reaches {largest:.6g} after batch norm was folded, beyond the {limit:.6g} that "
                f"{self.precision} holds; export bf16 or fp32 instead, or train with weight decay"
            )
        return self.onnx.numpy_helper.from_array(rounded, name)

    def _cast(self, name: str, made: str, wanted: int) -> Any:
        return self.onnx.helper.make_node("Cast", [name], [made], name=f"node_{made}", to=wanted)

    def _allowed(self, node: Any) -> tuple[list[bool], list[bool]]:
        """For each input and output of a node, whether it may have the low type."""
        schema = self.onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        has_type = self._retyped(node)
        takes = [self._permits(schema, formal) for formal in _formals(schema.inputs, len(node.input))]
        gives = [has_type and self._permits(schema, formal) for formal in _formals(schema.outputs, len(node.output))]
        return takes, gives

    def _retyped(self, node: Any) -> bool:
        """Give a cast to float32 the low type instead; False where a node makes float32 by another attribute."""
        if node.op_type == "Cast":
            to = next(attribute for attribute in node.attribute if attribute.name == "to")
            if to.i == self.high:
                to.i = self.low
            return True
        return not any(attribute.name in ("dtype", "output_dtype", "value") for attribute in node.attribute)

    def _permits(self, schema: Any, formal: Any) -> bool:
        constraint = next((entry for entry in schema.type_constraints if entry.type_param_str == formal.type_str), None)
        allowed = [formal.type_str] if constraint is None else constraint.allowed_type_strs
        return self.low_schema in allowed

    def _cast_image(self, node: Any) -> None:
        high = f"{IMAGE}_float"
        node.output[list(node.output).index(IMAGE)] = high
        self.nodes.append(self._cast(high, IMAGE, self.low))
        self.types[IMAGE], self.types[high] = self.low, self.high

    def _keep_logits(self) -> None:
        if self.types[LOGITS] == self.high:
            return
        low = f"{LOGITS}_{self.precision}"
        place = next(index for index, node in enumerate(self.nodes) if LOGITS in node.output)
        node = self.nodes[place]
        node.output[list(node.output).index(LOGITS)] = low
        self.nodes.insert(place + 1, self._cast(low, LOGITS, self.high))
        self.types[LOGITS] = self.high

    def _tell_types(self) -> None:
        """Correct what the graph says of its tensors; weights say it themselves."""
        told = [value for value in self.graph.value_info if value.name not in self.weights]
        for value in told:
            value.type.tensor_type.elem_type = self.types[value.name]
        del self.graph.value_info[:]
        self.graph.value_info.extend(told)

    def _replace_weights(self) -> None:
        """Drop float32 weights that nobody reads any more; their rounded copies take their names."""
        used = {name for node in self.graph.node for name in node.input}
        kept = [weight for weight in self.graph.initializer if weight.name in used]
        renamed = {made: name for (name, _), made in self.made.items() if name in self.weights and name not in used}
        for weight in kept:
            weight.name = renamed.get(weight.name, weight.name)
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = renamed.get(name, name)
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def _formals(formals: Any, count: int) -> Iterator[Any]:
    """The formal parameter of each actual one; the last may stand for many."""
    for index in range(count):
        yield formals[min(index, len(formals) - 1)]
