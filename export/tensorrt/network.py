"""ONNX -> TensorRT's own network, whose types are the types of the engine."""

from collections import Counter
from pathlib import Path
from typing import Any

from runtime.backends.tensorrt.library import EngineLibrary
from runtime.bundle.manifest import Precision
from runtime.errors import BackendError, GateError

__all__ = ["add_static_profile", "parse", "require_precision"]


def parse(library: EngineLibrary, logger: Any, builder: Any, model: Path) -> Any:
    """Parse an ONNX file into a strongly-typed network.

    Raises:
        BackendError: the parser refuses the graph.
    """
    trt = library.module
    # TensorRT 11 knows no other way and ignores the flag, which TensorRT 10 needs to be told so.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    content = model.read_bytes()
    if not parser.parse(content):
        errors = [str(parser.get_error(index)).strip() for index in range(parser.num_errors)]
        raise BackendError(f"{library.title} refuses {model.name}: {'; '.join(errors)}{_advice(content)}")
    return network


def require_precision(library: EngineLibrary, network: Any, model: Path, precision: Precision) -> None:
    """Refuse a network that computes its convolutions and matrix products in another type than was asked for.

    INT8 may leave some in float, and what is asked for as fp32 may hold nothing else. A product is INT8 where its input
    comes from a DequantizeLinear.

    Raises:
        GateError: no product has the precision, or, for fp32, some have another.
    """
    found = _products(library.module, network)
    is_right = set(found) == {"fp32"} if precision == "fp32" else found[precision] > 0
    if not is_right:
        counted = ", ".join(f"{number} in {name}" for name, number in sorted(found.items())) or "none at all"
        raise GateError(
            f"{model.name} was to become an engine of {precision}, and of its convolutions and matrix products "
            f"{library.title} found {counted}; TensorRT takes the types of the ONNX file, so export that one again"
        )


def add_static_profile(
    library: EngineLibrary, builder: Any, settings: Any, network: Any, model: Path
) -> dict[str, tuple[int, ...]]:
    """State the shape of every input, smallest, likeliest and largest alike, and give them by name.

    Raises:
        BackendError: an input has no fixed shape, or TensorRT refuses the profile.
    """
    shapes = {}
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if min(shape, default=0) < 0:
            raise BackendError(
                f"input {tensor.name!r} of {model.name} has shape {shape}: engines are built for one frame size; "
                "export the ONNX file again"
            )
        profile.set_shape(tensor.name, shape, shape, shape)
        shapes[str(tensor.name)] = shape
    if settings.add_optimization_profile(profile) < 0:
        raise BackendError(f"{library.title} refuses the profile {shapes} for {model.name}")
    return shapes


def _products(trt: Any, network: Any) -> Counter[str]:
    """How many convolutions and matrix products there are of each precision."""
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}
    names = {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16", trt.DataType.BF16: "bf16"}
    found: Counter[str] = Counter()
    for layer in layers:
        if layer.type in kinds:
            tensor = layer.get_input(0)
            found["int8" if tensor.name in dequantized else names.get(tensor.dtype, str(tensor.dtype))] += 1
    return found


def _advice(content: bytes) -> str:
    """What to do about a graph whose integers are unsigned, which is the one a user is likely to give."""
    import onnx

    graph = onnx.load_model_from_string(content).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    zero_points = {
        node.input[2]
        for node in graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2
    }
    if all(types.get(name) != onnx.TensorProto.UINT8 for name in zero_points):
        return ""
    return (
        "; its integers are unsigned with a zero point (u8s8, for CPUs), and TensorRT takes signed, symmetric ones: "
        "build the engine from int8-gpu.onnx"
    )
