from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.quantization.layers import NetworkGraph, read_network
from runtime.errors import BackendError

SHAPE = [1, 3, 4, 4]
make = helper.make_node


def graph_of(nodes: Sequence[onnx.NodeProto], weights: Sequence[str] = ()) -> onnx.ModelProto:
    """A model from `image` to `logits`, with 1x1 convolution weights of these names."""
    constants = [numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), name) for name in weights]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("image", "logits")]
    graph = helper.make_graph(nodes, "graph", tensors[:1], tensors[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def integer_names(network: NetworkGraph, *float_layers: str) -> list[str]:
    return [node.name for node in network.integer_nodes("u8s8", float_layers)]


def test_layers_are_named_by_their_weight_and_counted(network: NetworkGraph) -> None:
    assert len(network.layers) == 24
    assert list(network.layers)[:2] == ["stem.0", "layer1.0.conv1"]
    stem = network.layers["stem.0"]
    assert (stem.weight, stem.inputs, stem.num_weights) == ("network.stem.0.weight", ("image",), 64 * 3 * 7 * 7)
    # A 7x7 convolution of stride 2 on 64x96.
    assert stem.num_macs == 32 * 48 * stem.num_weights


def test_weight_used_twice_is_one_layer() -> None:
    nodes = [
        make("Conv", ["image", "a.weight"], ["x"], name="c1"),
        make("Conv", ["x", "a.weight"], ["logits"], name="c2"),
    ]
    network = NetworkGraph(graph_of(nodes, ["a.weight"]))
    assert list(network.layers) == ["a"]
    assert network.layers["a"].nodes == ("c1", "c2")
    assert integer_names(network) == ["c1", "c2"]
    assert integer_names(network, "a") == []


def test_sum_is_integer_only_between_integers() -> None:
    nodes = [
        make("Conv", ["image", "a.weight"], ["x"], name="a"),
        make("Conv", ["image", "b.weight"], ["y"], name="b"),
        make("Add", ["x", "y"], ["z"], name="sum"),
        make("Relu", ["z"], ["r"], name="relu"),
        make("Conv", ["r", "c.weight"], ["logits"], name="c"),
    ]
    network = NetworkGraph(graph_of(nodes, ["a.weight", "b.weight", "c.weight"]))
    assert integer_names(network) == ["a", "b", "sum", "relu", "c"]
    # Its operand is float; its reader is float.
    assert integer_names(network, "b") == ["a", "c"]
    assert integer_names(network, "c") == ["a", "b"]
    assert [node.name for node in network.integer_nodes("s8s8", ["b"])] == ["a", "c"]


def test_activation_goes_with_the_layer_before_it_whoever_reads_it() -> None:
    nodes = [
        make("Conv", ["image", "a.weight"], ["x"], name="a"),
        make("Relu", ["x"], ["r"], name="relu"),
        make("Conv", ["r", "b.weight"], ["logits"], name="b"),
    ]
    network = NetworkGraph(graph_of(nodes, ["a.weight", "b.weight"]))
    assert integer_names(network, "b") == ["a", "relu"]
    assert integer_names(network, "a") == ["b"]
    assert network.kept_with("b", "u8s8") == {"a", "b"}
    assert network.kept_with("b", "s8s8") == {"b"}
    assert network.kept_with("a", "u8s8") == {"a"}


def test_graph_without_the_two_names_is_refused(tmp_path: Path) -> None:
    model = graph_of([make("Conv", ["image", "a.weight"], ["logits"], name="a")], ["a.weight"])
    model.graph.input[0].name = model.graph.node[0].input[0] = "other"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(BackendError, match="no path from tensor 'image' to tensor 'logits'"):
        read_network(tmp_path / "a.onnx")


def test_network_without_weights_is_refused(tmp_path: Path) -> None:
    onnx.save(graph_of([make("Relu", ["image"], ["logits"], name="relu")]), tmp_path / "a.onnx")
    with pytest.raises(BackendError, match="nothing to quantize"):
        read_network(tmp_path / "a.onnx")
