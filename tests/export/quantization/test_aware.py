"""From tensors of an ONNX graph to modules of the network and back."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.config import ExportConfig
from export.frozen import Frozen, freeze
from export.onnx_from_torch import onnx_from_torch
from export.quantization.aware import learn_integers, quantized_tensors
from runtime.config import validated
from runtime.errors import ConfigError
from runtime.images import write_png
from training.checkpoint import NetworkSpec, load_network, save_network
from training.config import TrainingConfig
from training.frame_network import FrameNetwork
from training.networks.config import DeepLabV2Config
from training.networks.network import NetworkOutput, SegmentationNetwork

HW = (64, 96)
Ranges = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames, a network file, and its float32 graph."""
    folder = tmp_path_factory.mktemp("aware")
    (folder / "frames").mkdir()
    tiles = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
    for index, frame in enumerate(tiles.repeat(8, axis=1).repeat(8, axis=2)):
        write_png(folder / "frames" / f"{index}.png", frame)
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=HW)
    spec = NetworkSpec(model=model, label_space="camvid11")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
    save_network(folder / "adapted.safetensors", network, spec)
    onnx_from_torch(freeze(export_config(folder), HW).network, folder / "fp32.onnx", {})
    return folder


def export_config(world: Path, **aware: Any) -> ExportConfig:
    values = {
        "checkpoint": world / "adapted.safetensors",
        "bundle": world / "bundle",
        "frames": {"layout": "folder", "root": world / "frames"},
        "int8": {"aware": {"when": "always", "iterations": 1, **aware}},
    }
    return validated(ExportConfig, values, place="test")


def training_config(world: Path, output: Path) -> TrainingConfig:
    values = {
        "output": output,
        "label_space": "camvid11",
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        # The size of another stage: what counts is the file's.
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [32, 48]},
        "source": {"kind": "checkpoint", "path": world / "not_there.safetensors"},
        "target": {"adapt": {"layout": "folder", "root": world / "frames"}},
        "adaptation": {
            "method": {"name": "iapc"},
            "pseudo_labels": {"scales": [1.0], "mirror": False},
            "views": {"train_hw": HW, "scale": [1.0, 1.0], "crop_hw": [32, 48]},
            "memory_hw": HW,
            "min_classes": 2,
            "iterations": 1,
            "batch_size": 2,
        },
    }
    return validated(TrainingConfig, values, place="test")


@pytest.fixture
def frozen(world: Path) -> Frozen:
    return freeze(export_config(world), HW)


@pytest.fixture(scope="module")
def ranges(world: Path) -> Ranges:
    """A range for every tensor that a node computes."""
    graph = onnx.load(world / "fp32.onnx").graph
    return {output: (-1.0, 4.0) for node in graph.node for output in node.output}


def reader_of(world: Path, module: str) -> str:
    graph = onnx.load(world / "fp32.onnx").graph
    return next(str(node.input[0]) for node in graph.node if f"network.{module}.weight" in node.input)


def output_of(world: Path, module: str) -> str:
    graph = onnx.load(world / "fp32.onnx").graph
    return next(str(node.output[0]) for node in graph.node if f"network.{module}.weight" in node.input)


def test_a_tensor_is_read_by_all_layers_that_share_it(world: Path, frozen: Frozen, ranges: Ranges) -> None:
    found = quantized_tensors(world / "fp32.onnx", frozen.network, ranges=ranges, scheme="s8s8")
    assert found[reader_of(world, "classifier.2")].read_by == tuple(f"classifier.{index}" for index in range(4))
    assert found[reader_of(world, "layer2.0.conv1")].read_by == ("layer2.0.conv1", "layer2.0.downsample.0")
    convolutions = {name for name, module in frozen.network.network.named_modules() if isinstance(module, nn.Conv2d)}
    assert {module for tensor in found.values() for module in tensor.read_by} == convolutions
    assert not any(tensor.written_by for tensor in found.values())


def test_branches_of_sums_are_rounded_where_the_engine_does(world: Path, frozen: Frozen, ranges: Ranges) -> None:
    found = quantized_tensors(world / "fp32.onnx", frozen.network, ranges=ranges, scheme="u8s8")
    written = {module for tensor in found.values() for module in tensor.written_by}
    # Behind the batch norm that is folded into the convolution, but not where an activation follows.
    assert {"layer1.0.bn2", "layer2.0.downsample.1", "classifier.3"} <= written
    assert not {"layer1.0.conv2", "layer1.0.bn1", "stem.0", "stem.1"} & written
    assert found[output_of(world, "layer1.0.conv2")].written_by == ("layer1.0.bn2",)


def test_what_is_written_has_the_values_of_the_graph(world: Path, frozen: Frozen, ranges: Ranges) -> None:
    import onnxruntime as ort

    model = onnx.load(world / "fp32.onnx")
    tensor = output_of(world, "layer3.0.conv2")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    frame = np.random.default_rng(1).integers(0, 256, (1, *HW, 3), dtype=np.uint8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run([tensor], {"frame": frame})[0]
    found = quantized_tensors(world / "fp32.onnx", frozen.network, ranges=ranges, scheme="u8s8")
    seen: list[Tensor] = []
    (module,) = found[tensor].written_by
    frozen.network.network.get_submodule(module).register_forward_hook(
        lambda module, inputs, output: seen.append(output.clone())
    )
    frozen.network(torch.from_numpy(frame))
    np.testing.assert_allclose(seen[0].numpy(), expected, rtol=1e-3, atol=1e-3)


def test_float_layers_and_tensors_without_range_are_left_out(world: Path, frozen: Frozen, ranges: Ranges) -> None:
    first = reader_of(world, "stem.0")
    kept = {name: ends for name, ends in ranges.items() if name != reader_of(world, "layer4.1.conv1")}
    found = quantized_tensors(
        world / "fp32.onnx", frozen.network, ranges=kept, scheme="u8s8", float_layers=("stem.0", "classifier.1")
    )
    modules = {module for tensor in found.values() for module in (*tensor.read_by, *tensor.written_by)}
    assert first not in found
    assert not {"stem.0", "classifier.1", "layer4.1.conv1"} & modules
    assert "classifier.0" in modules


def test_an_unknown_float_layer_is_refused(world: Path, frozen: Frozen, ranges: Ranges) -> None:
    with pytest.raises(ConfigError, match=r"stem_0, which the network does not have; its layers are .*stem\.0"):
        quantized_tensors(world / "fp32.onnx", frozen.network, ranges=ranges, scheme="u8s8", float_layers=("stem_0",))


class Tokens(SegmentationNetwork):
    """A linear layer over channels, as transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.mix = nn.Linear(8, 8)
        self.classifier = nn.Conv2d(8, 11, 1)

    def forward(self, image: Tensor) -> NetworkOutput:
        patches = self.patches(image)
        features = self.mix(patches.flatten(2).transpose(1, 2)).relu().transpose(1, 2).reshape(patches.shape)
        return NetworkOutput(self.classifier(features), features)


def test_linear_layers_are_found_by_their_weights(frozen: Frozen, tmp_path: Path) -> None:
    network = FrameNetwork(Tokens(), frozen.spec.model.convention, network_hw=HW, frame_hw=HW)
    network.eval().requires_grad_(False)
    onnx_from_torch(network, tmp_path / "tokens.onnx", {})
    graph = onnx.load(tmp_path / "tokens.onnx").graph
    ranges = {output: (-1.0, 1.0) for node in graph.node for output in node.output}
    found = quantized_tensors(tmp_path / "tokens.onnx", network, ranges=ranges, scheme="s8s8")
    assert {module for tensor in found.values() for module in tensor.read_by} == {"patches", "mix", "classifier"}


def test_the_tuned_network_comes_back_with_ranges_of_its_graph(
    world: Path, frozen: Frozen, ranges: Ranges, tmp_path: Path
) -> None:
    def learn() -> Any:
        return learn_integers(
            export_config(world),
            training_config(world, tmp_path / "out"),
            model=world / "fp32.onnx",
            ranges=ranges,
            scheme="u8s8",
            float_layers=("stem.0",),
            frozen=frozen,
            folder=tmp_path / "aware",
        )

    learnt = learn()
    assert learnt.frozen.network.frame_hw == HW
    assert learnt.frozen.spec.network_hw == HW
    assert learnt.checkpoint.parent.parent == tmp_path / "aware"
    path = tmp_path / "tuned.onnx"
    onnx_from_torch(learnt.frozen.network, path, {})
    tensors = {name for node in onnx.load(path).graph.node for name in (*node.input, *node.output)}
    assert reader_of(world, "classifier.0") in learnt.ranges
    assert learnt.ranges.keys() <= tensors & ranges.keys()
    tuned, _ = load_network(learnt.checkpoint)
    before = frozen.network.network.state_dict()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in tuned.state_dict().items())
    assert learn().ranges == learnt.ranges


def test_another_network_in_the_run_file_is_refused(
    world: Path, frozen: Frozen, ranges: Ranges, tmp_path: Path
) -> None:
    training = training_config(world, tmp_path / "out")
    other = training.model_copy(update={"model": training.model.model_copy(update={"backbone": "resnet34"})})
    with pytest.raises(ConfigError, match="another network"):
        learn_integers(
            export_config(world),
            other,
            model=world / "fp32.onnx",
            ranges=ranges,
            scheme="u8s8",
            float_layers=(),
            frozen=frozen,
            folder=tmp_path / "aware",
        )
