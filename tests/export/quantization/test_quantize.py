from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from export.quantization.choose import Calibration
from export.quantization.layers import NetworkGraph
from export.quantization.quantize import fitted_ranges, quantize
from export.quantization.ranges import Range
from runtime.bundle.manifest import Scheme
from runtime.errors import ConfigError

Ranges = dict[str, Range]


@pytest.fixture(scope="session")
def ranges(calibration: Calibration) -> Ranges:
    return calibration.statistics.ranges("minmax")


def initializers(model: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def zero_points(model: Any, op_type: str) -> list[Any]:
    constants = initializers(model)
    return [constants[node.input[2]] for node in model.graph.node if node.op_type == op_type]


def written(network: NetworkGraph, folder: Path, scheme: Scheme, ranges: Ranges, **values: Any) -> Any:
    quantize(network, folder / "int8.onnx", scheme=scheme, ranges=ranges, **values)
    onnx.checker.check_model(folder / "int8.onnx", full_check=True)
    return onnx.load(folder / "int8.onnx")


def run_as(model: Any, path: Path) -> Counter[str]:
    """Types of the nodes that ONNX Runtime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_u8s8_has_unsigned_activations_signed_weights_a_channel_and_int32_biases(
    network: NetworkGraph, ranges: Ranges, tmp_path: Path
) -> None:
    model = written(network, tmp_path, "u8s8", ranges)
    assert {tensor.data_type for tensor in zero_points(model, "QuantizeLinear")} == {TensorProto.UINT8}
    constants = initializers(model)
    for layer in network.layers.values():
        weight, scale = constants[f"{layer.weight}_quantized"], constants[f"{layer.weight}_scale"]
        assert weight.data_type == TensorProto.INT8
        assert list(scale.dims) == [weight.dims[0]]
    types = [tensor.data_type for tensor in zero_points(model, "DequantizeLinear")]
    assert types.count(TensorProto.INT32) == 24
    # The image has negative values, so its zero is not the smallest integer.
    assert onnx.numpy_helper.to_array(constants["image_zero_point"]) > 0


def test_s8s8_is_symmetric_and_keeps_biases_in_float(network: NetworkGraph, ranges: Ranges, tmp_path: Path) -> None:
    model = written(network, tmp_path, "s8s8", ranges)
    points = zero_points(model, "QuantizeLinear") + zero_points(model, "DequantizeLinear")
    assert {tensor.data_type for tensor in points} == {TensorProto.INT8}
    assert not any(onnx.numpy_helper.to_array(tensor).any() for tensor in points)
    constants = initializers(model)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert {constants[node.input[2]].data_type for node in convolutions} == {TensorProto.FLOAT}
    # Nothing lies between a convolution and the sum or activation behind it, which TensorRT takes in.
    made = {name for node in convolutions for name in node.output}
    assert not any(node.op_type == "QuantizeLinear" and node.input[0] in made for node in model.graph.node)


def test_onnx_runtime_computes_the_network_in_integers(network: NetworkGraph, ranges: Ranges, tmp_path: Path) -> None:
    types = run_as(written(network, tmp_path, "u8s8", ranges), tmp_path / "optimised.onnx")
    assert types["QLinearConv"] == 24
    # Eight sums of residuals; the three that add classifiers up are the logits' and stay float, as does the tail's one.
    assert (types["QLinearAdd"], types["Add"]) == (8, 4)
    assert types["Conv"] + types["FusedConv"] + types["Relu"] + types["MaxPool"] == 0
    # The image goes in once; the four classifiers come out.
    assert (types["QuantizeLinear"], types["DequantizeLinear"]) == (1, 4)


def test_preprocessing_and_tail_are_untouched(network: NetworkGraph, ranges: Ranges, tmp_path: Path) -> None:
    model = written(network, tmp_path, "u8s8", ranges)
    for op_type in ("Cast", "Sub", "Div", "Transpose", "Resize", "Softmax", "ArgMax"):
        before = [node for node in network.model.graph.node if node.op_type == op_type]
        assert [node for node in model.graph.node if node.op_type == op_type] == before
    assert (model.graph.input, model.graph.output) == (network.model.graph.input, network.model.graph.output)
    assert model.metadata_props == network.model.metadata_props
    assert model.opset_import == network.model.opset_import
    assert model.ir_version == network.model.ir_version


def test_float_layer_has_float_weights_and_its_input_unrounded(
    network: NetworkGraph, ranges: Ranges, tmp_path: Path
) -> None:
    kept = ("stem.0", "classifier.0", "classifier.1", "classifier.2", "classifier.3")
    model = written(network, tmp_path, "u8s8", ranges, float_layers=kept)
    constants = initializers(model)
    assert all(constants[network.layers[name].weight].data_type == TensorProto.FLOAT for name in kept)
    rounded = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    # Only classifiers read the last sum, so that it needs no integers either.
    assert "image" not in rounded
    assert not rounded & set(network.layers["classifier.0"].inputs)
    types = run_as(model, tmp_path / "optimised.onnx")
    assert (types["QLinearConv"], types["QLinearAdd"]) == (19, 7)


def test_unknown_float_layer_is_refused_with_those_there_are(
    network: NetworkGraph, ranges: Ranges, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"names conv1, which .* layers are stem\.0, layer1\.0\.conv1, "):
        quantize(network, tmp_path / "a.onnx", scheme="u8s8", ranges=ranges, float_layers=["conv1"])
    assert list(tmp_path.iterdir()) == []


def test_activation_without_a_range_is_refused(network: NetworkGraph, ranges: Ranges, tmp_path: Path) -> None:
    fewer = {name: value for name, value in ranges.items() if name != "image"}
    with pytest.raises(ValueError, match="no range for image; calibrate this very graph"):
        quantize(network, tmp_path / "a.onnx", scheme="s8s8", ranges=fewer)


@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
def test_same_ranges_give_the_same_bytes(network: NetworkGraph, ranges: Ranges, tmp_path: Path, scheme: Scheme) -> None:
    for name in ("a.onnx", "b.onnx"):
        quantize(network, tmp_path / name, scheme=scheme, ranges=ranges, float_layers=["stem.0"])
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_seven_bits_are_all_that_reduced_weights_have(network: NetworkGraph, ranges: Ranges, tmp_path: Path) -> None:
    name = f"{network.layers['layer3.0.conv1'].weight}_quantized"
    largest = {}
    for is_reduced in (False, True):
        model = written(network, tmp_path, "u8s8", ranges, reduce_range=is_reduced)
        largest[is_reduced] = np.abs(onnx.numpy_helper.to_array(initializers(model)[name])).max()
    assert largest == {False: 127, True: 64}


def test_range_below_zero_behind_a_relu_does_not_bring_negative_values_back(network: NetworkGraph) -> None:
    behind_relu = network.layers["layer2.1.conv2"].inputs[0]
    fitted = fitted_ranges(network, {behind_relu: (-3.0, 4.0), "image": (0.5, 2.0)})
    assert fitted == {behind_relu: (0.0, 4.0), "image": (0.0, 2.0)}


@pytest.mark.tensorrt
@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
def test_tensorrt_builds_s8s8_and_refuses_u8s8(
    network: NetworkGraph, ranges: Ranges, tmp_path: Path, scheme: Scheme
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX alone builds without a GPU")
    quantize(network, tmp_path / "int8.onnx", scheme=scheme, ranges=ranges)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    definition = builder.create_network(0)
    parser = trt.OnnxParser(definition, logger)
    is_parsed = parser.parse((tmp_path / "int8.onnx").read_bytes())
    assert is_parsed == (scheme == "s8s8")
    if is_parsed:
        settings = builder.create_builder_config()
        settings.num_compute_capabilities = 1
        settings.set_compute_capability(trt.ComputeCapability.SM86, 0)
        engine = builder.build_serialized_network(definition, settings)
        # 11.5 million weights of one byte.
        assert 11e6 < engine.nbytes < 25e6
    else:
        assert "UInt8" in str(parser.get_error(0)) or "uint8" in str(parser.get_error(0)).lower()
