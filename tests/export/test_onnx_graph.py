"""What is done to and asked of finished graphs, on graphs small enough to count by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from export.onnx_graph import cut_to_logits, low_precision_share, with_facts, with_output
from runtime.errors import BackendError, GateError

# A network of one 1x1 convolution from 3 to 2 channels on 2 x 3 pixels, with a tail.
DEPLOYED = """
<ir_version: 10, opset_import: ["" : 18], producer_name: "us">
deployed (uint8[1,2,3,3] frame) => (uint8[1,2,3] labels)
<float[2,3,1,1] weight = {1, 0, 0, 0, 0, 1}>
{
    cast = Cast <to: int = 1> (frame)
    image = Transpose <perm: ints = [0, 3, 1, 2]> (cast)
    logits = Conv (image, weight)
    argmax = ArgMax <axis: int = 1, keepdims: int = 0> (logits)
    labels = Cast <to: int = 2> (argmax)
}
"""
# 2 * 4 * 4 outputs of 3 * 3 * 3, then 2 * 5 of 32.
MIXED = """
<ir_version: 10, opset_import: ["" : 18]>
mixed (float[1,3,4,4] image) => (float[2,5] out)
<float16[2,3,3,3] weight, float[16,5] matrix>
{
    low = Cast <to: int = 10> (image)
    map = Conv <pads: ints = [1, 1, 1, 1]> (low, weight)
    high = Cast <to: int = 1> (map)
    shape = Constant <value_ints: ints = [2, 16]> ()
    rows = Reshape (high, shape)
    out = MatMul (rows, matrix)
}
"""
QUANTIZED = """
<ir_version: 10, opset_import: ["" : 18]>
quantized (float[1,2,4,4] image) => (float[1,3,4,4] out)
<float scale = {0.5}, uint8 zero = {128}, int8[3,2,1,1] integers = {1, 2, 3, 4, 5, 6}, float[3] scales = {1, 1, 1},
 int8[3] zeros = {0, 0, 0}, float[3,3,1,1] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
{
    quantized_image = QuantizeLinear (image, scale, zero)
    inexact_image = DequantizeLinear (quantized_image, scale, zero)
    inexact_weight = DequantizeLinear <axis: int = 0> (integers, scales, zeros)
    map = Conv (inexact_image, inexact_weight)
    out = Conv (map, weight)
}
"""


def write(path: Path, text: str, **weights: np.ndarray[Any, Any]) -> Path:
    model = onnx.parser.parse_model(text)
    for index, weight in reversed(list(enumerate(model.graph.initializer))):
        if weight.name in weights:
            del model.graph.initializer[index]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    onnx.helper.set_model_props(model, {"classes": "road,car", "input": "rgb"})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    return write(tmp_path / "deployed.onnx", DEPLOYED)


def facts_of(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


FRAME = np.arange(18, dtype=np.uint8).reshape(1, 2, 3, 3)


@pytest.mark.parametrize("name", ["image", "logits"])
def test_an_inner_tensor_is_given_after_the_outputs_there_are(deployed: Path, name: str) -> None:
    session = onnxruntime.InferenceSession(with_output(deployed.read_bytes(), name))
    assert [output.name for output in session.get_outputs()] == ["labels", name]
    labels, found = session.run(None, {"frame": FRAME})
    image = FRAME.transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(found, image if name == "image" else image[:, [0, 2]])
    np.testing.assert_array_equal(labels, np.ones((1, 2, 3)))


def test_an_output_that_is_there_stays_one(deployed: Path) -> None:
    assert with_output(deployed.read_bytes(), "labels") == deployed.read_bytes()


def test_a_tensor_that_is_not_there_is_an_error(deployed: Path) -> None:
    with pytest.raises(BackendError, match="no tensor 'features'; give a file that this project's export wrote"):
        with_output(deployed.read_bytes(), "features")


def test_cut_graph_gives_logits_alone_and_keeps_its_facts(deployed: Path, tmp_path: Path) -> None:
    cut_to_logits(deployed, tmp_path / "cut.onnx")
    cut = onnx.load(tmp_path / "cut.onnx")
    assert [node.op_type for node in cut.graph.node] == ["Cast", "Transpose", "Conv"]
    assert (cut.ir_version, cut.opset_import[0].version, cut.producer_name, cut.graph.name) == (
        10,
        18,
        "us",
        "deployed",
    )
    assert facts_of(tmp_path / "cut.onnx") == {"classes": "road,car", "input": "rgb"}
    (output,) = onnxruntime.InferenceSession(tmp_path / "cut.onnx").run(None, {"frame": FRAME})
    np.testing.assert_array_equal(output, FRAME.transpose(0, 3, 1, 2)[:, [0, 2]].astype(np.float32))


def test_graph_without_logits_is_not_cut(tmp_path: Path) -> None:
    source = write(tmp_path / "a.onnx", DEPLOYED.replace("logits", "scores"))
    with pytest.raises(BackendError, match="no tensor 'logits'"):
        cut_to_logits(source, tmp_path / "cut.onnx")
    assert not (tmp_path / "cut.onnx").exists()


def test_facts_are_added_to_those_there_are(deployed: Path) -> None:
    nodes = list(onnx.load(deployed).graph.node)
    with_facts(deployed, {"input": "bgr", "tail": "labels"})
    assert facts_of(deployed) == {"classes": "road,car", "input": "bgr", "tail": "labels"}
    assert list(onnx.load(deployed).graph.node) == nodes


@pytest.mark.parametrize(("precision", "count"), [("fp16", 32 * 27), ("fp32", 10 * 16), ("bf16", 0), ("int8", 0)])
def test_share_counts_multiplications_by_the_type_of_both_operands(tmp_path: Path, precision: Any, count: int) -> None:
    weights: dict[str, np.ndarray[Any, Any]] = {
        "weight": np.zeros((2, 3, 3, 3), np.float16),
        "matrix": np.zeros((16, 5), np.float32),
    }
    path = write(tmp_path / "a.onnx", MIXED, **weights)
    assert low_precision_share(path, precision) == count / (32 * 27 + 10 * 16)


@pytest.mark.parametrize(("precision", "count"), [("int8", 48 * 2), ("fp32", 48 * 3), ("fp16", 0)])
def test_share_of_int8_is_what_comes_out_of_8_bit_integers(tmp_path: Path, precision: Any, count: int) -> None:
    path = write(tmp_path / "a.onnx", QUANTIZED)
    assert low_precision_share(path, precision) == count / (48 * 5)


def test_quantized_weights_alone_are_not_int8_arithmetic(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", QUANTIZED.replace("Conv (inexact_image", "Conv (image"))
    assert low_precision_share(path, "int8") == 0.0


@pytest.mark.parametrize(
    ("node", "weight_shape", "count"),
    [
        # 3 channels of 2 x 2, each from 4 taps of one channel.
        ("Conv <group: int = 3> (image, weight)", (3, 1, 2, 2), 3 * 2 * 2 * 4),
        # Every one of the 27 input values goes to 4 taps of 5 channels.
        ("ConvTranspose (image, weight)", (3, 5, 2, 2), 27 * 5 * 4),
    ],
)
def test_groups_and_transposed_convolutions_are_counted_as_they_are(
    tmp_path: Path, node: str, weight_shape: tuple[int, ...], count: int
) -> None:
    # Another product, of 10, to measure it by.
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    two (float[1,3,3,3] image, float16[1,10] row) => (out, other)
    <float{list(weight_shape)} weight, float16[10,1] column> {{ out = {node} other = MatMul (row, column) }}
    """
    column = np.zeros((10, 1), np.float16)
    weights: dict[str, np.ndarray[Any, Any]] = {"weight": np.zeros(weight_shape, np.float32), "column": column}
    path = write(tmp_path / "a.onnx", text, **weights)
    assert low_precision_share(path, "fp32") == count / (count + 10)


def test_graph_without_multiplications_has_no_precision(tmp_path: Path) -> None:
    text = '<ir_version: 10, opset_import: ["" : 18]> none (float[2] a) => (float[2] b) { b = Relu (a) }'
    with pytest.raises(GateError, match="neither convolutions nor matrix products"):
        low_precision_share(write(tmp_path / "a.onnx", text), "fp32")


def test_unknown_shape_is_an_error(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 18]>
    open (float[N,3] rows) => (float[N,2] out) <float[3,2] matrix = {1, 2, 3, 4, 5, 6}> { out = MatMul (rows, matrix) }
    """
    with pytest.raises(GateError, match="shape of tensor 'out' is not known"):
        low_precision_share(write(tmp_path / "a.onnx", text), "fp32")
