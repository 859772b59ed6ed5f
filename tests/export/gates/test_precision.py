from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.gates.precision import float_layers_problem


class Frames(CalibrationDataReader):  # type: ignore[misc]  # untyped package
    """The gate's frames, once."""

    def __init__(self, frames: list[NDArray[np.uint8]]) -> None:
        self._rest = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        frame = next(self._rest, None)
        return None if frame is None else {"frame": frame}


@pytest.fixture(scope="session")
def convolutions(fp32_onnx: Path) -> list[tuple[str, str]]:
    """Node and weight of each convolution of the small network."""
    graph = onnx.load(fp32_onnx).graph
    return [(node.name, node.input[1]) for node in graph.node if node.op_type == "Conv"]


@pytest.fixture(scope="session")
def quantized(
    fp32_onnx: Path,
    convolutions: list[tuple[str, str]],
    gate_frames: list[NDArray[np.uint8]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The small network in INT8, all but its first and last convolution."""
    path = tmp_path_factory.mktemp("quantized") / "int8-cpu.onnx"
    quantize_static(
        fp32_onnx,
        path,
        Frames(gate_frames),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[convolutions[0][0], convolutions[-1][0]],
    )
    return path


def test_all_layers_but_the_named_ones_are_int8(quantized: Path, convolutions: list[tuple[str, str]]) -> None:
    (first, _), (last, _) = convolutions[0], convolutions[-1]
    assert float_layers_problem(quantized, [first, last]) is None


def test_layers_may_be_named_by_their_weights_or_module(quantized: Path, convolutions: list[tuple[str, str]]) -> None:
    (_, first), (_, last) = convolutions[0], convolutions[-1]
    assert float_layers_problem(quantized, [first, last]) is None
    assert float_layers_problem(quantized, [first.removesuffix(".weight"), last.removesuffix(".weight")]) is None


def test_layer_that_nobody_named_is_told(quantized: Path, convolutions: list[tuple[str, str]]) -> None:
    (first, _), (last, _) = convolutions[0], convolutions[-1]
    problem = float_layers_problem(quantized, [first])
    assert problem == f"1 of its layers compute in float32 ({last}), expected all but 1 named ones in int8"


def test_graph_without_integers_is_told(fp32_onnx: Path, convolutions: list[tuple[str, str]]) -> None:
    problem = float_layers_problem(fp32_onnx, [])
    assert problem is not None
    assert problem.startswith(f"{len(convolutions)} of its layers compute in float32")
