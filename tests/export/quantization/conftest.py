"""A small float32 graph, target frames for its integers, and a network with one layer that integers hurt."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from export.config import ExportConfig, Int8Config
from export.frame_sets import FrameSets, open_frame_sets
from export.frozen import freeze
from export.onnx_from_torch import onnx_from_torch
from export.quantization.choose import Calibration, calibrate
from export.quantization.layers import NetworkGraph, read_network
from training.networks.deeplab_v2 import DeepLabV2

FRAME_HW = (64, 96)
NUM_CLASSES = 19
FACTOR = 100.0
MakeNetwork = Callable[..., Path]
MakeConfig = Callable[..., ExportConfig]


@pytest.fixture(scope="session")
def int8_config() -> Int8Config:
    return Int8Config(num_calibration_frames=4, num_choice_frames=2, max_float_layers=2)


@pytest.fixture(scope="session")
def sets(make_config: MakeConfig, int8_config: Int8Config) -> FrameSets:
    """Rendered streets: two frames of choice and eight candidates."""
    config = make_config(
        checkpoint="a",
        frames={"layout": "streets", "domain": "target", "first": 0, "count": 12, "height": 64, "width": 96},
        num_gate_frames=2,
        num_golden_frames=1,
        artefacts=["fp32.onnx", "int8-cpu.onnx"],
        int8=int8_config,
    )
    return open_frame_sets(config)


@pytest.fixture(scope="session")
def fp32(make_config: MakeConfig, make_network: MakeNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network as ONNX."""
    config = make_config(checkpoint=make_network(change=give_biases))
    return write_onnx(config, tmp_path_factory.mktemp("fp32") / "fp32.onnx")


@pytest.fixture(scope="session")
def sensitive(make_config: MakeConfig, make_network: MakeNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same function, but one channel before layer2.1.conv2 is a hundred times larger than the others.

    In float the next weights make up for it; integers have one range for all channels and lose the other ones.
    """

    def change(network: DeepLabV2) -> None:
        give_biases(network)
        block = network.get_submodule("layer2.1")
        block.get_parameter("bn1.weight")[0] *= FACTOR
        block.get_parameter("bn1.bias")[0] *= FACTOR
        block.get_parameter("conv2.weight")[:, 0] /= FACTOR

    config = make_config(checkpoint=make_network(change=change))
    return write_onnx(config, tmp_path_factory.mktemp("sensitive") / "fp32.onnx")


@pytest.fixture(scope="session")
def network(fp32: Path) -> NetworkGraph:
    return read_network(fp32)


@pytest.fixture(scope="session")
def calibration(fp32: Path, sets: FrameSets, int8_config: Int8Config) -> Calibration:
    return calibrate(fp32, sets, int8_config, num_classes=NUM_CLASSES)


@pytest.fixture(scope="session")
def calibration_of_sensitive(sensitive: Path, sets: FrameSets, int8_config: Int8Config) -> Calibration:
    return calibrate(sensitive, sets, int8_config, num_classes=NUM_CLASSES)


def give_biases(network: DeepLabV2) -> None:
    """As after training; biases of zero, with which a network begins, do not reach the ONNX file."""
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            parameter.add_(torch.linspace(-0.1, 0.1, len(parameter)))


def write_onnx(config: ExportConfig, path: Path) -> Path:
    onnx_from_torch(freeze(config, FRAME_HW).network, path, {"frame_hw": "64x96"})
    model = onnx.load(path)
    name_inner_tensors(model)
    onnx.save(model, path)
    return path


def name_inner_tensors(model: onnx.ModelProto) -> None:
    """Give the network's input and output their names, where the exporter has not."""
    graph = model.graph
    if any("logits" in node.output for node in graph.node):
        return
    image = next(node for node in graph.node if node.op_type == "Conv").input[0]
    logits = next(node for node in graph.node if node.op_type == "Softmax").input[0]
    names = {image: "image", logits: "logits"}
    for node in graph.node:
        for tensors in (node.input, node.output):
            for place, tensor in enumerate(tensors):
                tensors[place] = names.get(tensor, tensor)
    for info in graph.value_info:
        info.name = names.get(info.name, info.name)
