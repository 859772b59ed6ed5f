from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.config import ExportConfig
from export.frozen import Frozen, freeze
from export.onnx_from_torch import FloatPrecision, onnx_from_torch, unfolded_batch_norms
from export.onnx_graph import low_precision_share, with_output
from runtime.errors import BackendError, GateError
from training.frame_network import FrameInput, FrameNetwork
from training.networks.config import INPUT_CONVENTIONS, FactoryConfig, InputName, SmpConfig
from training.networks.factory import build_factory
from training.networks.smp import build_smp
from training.networks.wrapped import WrappedNetwork

FRAME_HW = (64, 96)
MakeConfig = Callable[..., ExportConfig]
PRECISIONS: list[FloatPrecision] = ["fp32", "fp16", "bf16"]
LOW = PRECISIONS[1:]
FACTS = {"classes": "road,sidewalk", "input": "rgb_imagenet"}


@pytest.fixture(scope="session")
def graph(make_config: MakeConfig) -> FrameNetwork:
    """The deploy graph of the small network; tests only read it."""
    return freeze(make_config(), FRAME_HW).network


@pytest.fixture(scope="session")
def written(graph: FrameNetwork, tmp_path_factory: pytest.TempPathFactory) -> Mapping[FloatPrecision, Path]:
    """Its file in each precision."""
    folder = tmp_path_factory.mktemp("onnx")
    for precision in PRECISIONS:
        onnx_from_torch(graph, folder / precision, FACTS, precision)
    return {precision: folder / precision for precision in PRECISIONS}


@pytest.fixture(scope="session")
def model(written: Mapping[FloatPrecision, Path]) -> Any:
    return onnx.load(written["fp32"], load_external_data=False)


def tensor_of(info: Any) -> tuple[str, int, list[int]]:
    tensor = info.type.tensor_type
    return info.name, tensor.elem_type, [dim.dim_value for dim in tensor.shape.dim]


def run(path: Path, frame: NDArray[np.uint8], *inner: str) -> list[NDArray[Any]]:
    """Labels, confidence and inner tensors that ONNX Runtime finds for a frame (H, W, 3)."""
    content = path.read_bytes()
    for name in inner:
        content = with_output(content, name)
    outputs: list[NDArray[Any]] = onnxruntime.InferenceSession(content).run(None, {"frame": frame[None]})
    return outputs


def deploy_graph(
    network: nn.Module, *, input_name: InputName = "rgb_imagenet", frame_hw: tuple[int, int] = FRAME_HW
) -> FrameNetwork:
    """The deploy graph of a network; of one that is not wrapped, the features are of no interest."""
    wrapped = network
    if not isinstance(wrapped, WrappedNetwork):
        wrapped = WrappedNetwork(network, feature_layer="classifier")
    graph = FrameNetwork(wrapped, INPUT_CONVENTIONS[input_name], network_hw=FRAME_HW, frame_hw=frame_hw)
    return graph.eval().requires_grad_(False)


# What every file is


def test_takes_and_gives_what_the_manifest_promises(model: Any) -> None:
    uint8 = onnx.TensorProto.UINT8
    assert [tensor_of(info) for info in model.graph.input] == [("frame", uint8, [1, 64, 96, 3])]
    assert [tensor_of(info) for info in model.graph.output] == [
        ("labels", uint8, [1, 64, 96]),
        ("confidence", uint8, [1, 64, 96]),
    ]


def test_versions_are_those_that_old_runtimes_read(model: Any) -> None:
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10
    onnx.checker.check_model(model, full_check=True)


def test_batch_norm_is_folded_and_weights_are_inside(model: Any) -> None:
    ops = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in ops
    # 20 convolutions of ResNet-18 with its shortcuts, and 4 classifiers.
    assert ops.count("Conv") == 24
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_frame_is_cast_before_anything_else(model: Any) -> None:
    assert [node.op_type for node in model.graph.node if "frame" in node.input] == ["Cast"]


def test_a_convolution_is_told_by_the_name_of_its_module(graph: FrameNetwork, model: Any) -> None:
    weights = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    modules = {name for name, module in graph.named_modules() if isinstance(module, nn.Conv2d)}
    assert weights == {f"{name}.weight" for name in modules}


def test_says_what_it_is_told_to_and_nothing_of_the_exporting_machine(model: Any) -> None:
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "classes": "road,sidewalk",
        "input": "rgb_imagenet",
    }
    content = model.SerializeToString()
    assert b"frame_network.py" not in content
    assert str(Path.cwd()).encode() not in content


def test_same_network_gives_same_bytes(
    graph: FrameNetwork, written: Mapping[FloatPrecision, Path], tmp_path: Path
) -> None:
    onnx_from_torch(graph, tmp_path / "a.onnx", FACTS, "fp16")
    assert (tmp_path / "a.onnx").read_bytes() == written["fp16"].read_bytes()


def test_inner_tensors_are_torchs(
    graph: FrameNetwork, written: Mapping[FloatPrecision, Path], some_frames: NDArray[np.uint8]
) -> None:
    labels, _, logits, image = run(written["fp32"], some_frames[0], "logits", "image")
    stages = graph.stages(torch.from_numpy(some_frames[:1]))
    np.testing.assert_allclose(image, stages.image.numpy(), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(logits, stages.logits.numpy(), rtol=1e-3, atol=1e-3)
    assert (labels == stages.labels.numpy()).mean() > 0.999
    assert len(np.unique(labels)) > 3


def test_blue_comes_first_and_the_mean_is_that_of_the_convention(
    some_frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    graph = deploy_graph(Normed(), input_name="bgr_std", frame_hw=(32, 48))
    onnx_from_torch(graph, tmp_path / "a.onnx", {}, "fp16")
    frame = np.full((32, 48, 3), (10, 20, 30), np.uint8)
    image = run(tmp_path / "a.onnx", frame, "image")[2]
    expected = (np.array([30, 20, 10]) - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    assert image.shape == (1, 3, 64, 96)
    np.testing.assert_allclose(image[0, :, 5, 7], expected, rtol=1e-3)


# What is refused


class TransposeFirst(FrameInput):
    """The same numbers in the order that TensorRT refuses."""

    def forward(self, frames: Tensor, hw: tuple[int, int] | None = None) -> Tensor:
        image = frames.permute(0, 3, 1, 2).to(torch.float32)
        return (image - self.mean) / self.std


def test_graph_that_tensorrt_would_refuse_is_refused_here(frozen: Frozen, tmp_path: Path) -> None:
    frozen.network.input.__class__ = TransposeFirst
    with pytest.raises(GateError, match=r"enters \['Transpose'\] before it is cast"):
        onnx_from_torch(frozen.network, tmp_path / "a.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_batch_norm_before_the_first_convolution_stays(frozen: Frozen, tmp_path: Path) -> None:
    stem = frozen.network.network.get_submodule("stem")
    assert isinstance(stem, nn.Sequential)
    stem.insert(0, nn.BatchNorm2d(3).eval())
    onnx_from_torch(frozen.network, tmp_path / "a.onnx", {})
    ops = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert ops.count("BatchNormalization") == 1


@pytest.mark.parametrize(("first", "shared"), [("Conv", False), ("Conv", True), ("Relu", False)])
def test_batch_norm_that_a_convolution_could_have_taken_in_is_found(first: str, shared: bool) -> None:
    make = onnx.helper.make_node
    nodes = [
        make(first, ["image", "weight"] if first == "Conv" else ["image"], ["map"]),
        make("BatchNormalization", ["map", "scale", "bias", "mean", "var"], ["normal"], name="norm"),
        make("Add", ["normal", "map" if shared else "image"], ["out"]),
    ]
    values = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 4, 4])
        for name in ("image", "out")
    }
    weights = [onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "weight")]
    weights += [onnx.numpy_helper.from_array(np.ones(3, np.float32), name) for name in ("scale", "bias", "mean", "var")]
    graph = onnx.helper.make_graph(nodes, "graph", [values["image"]], [values["out"]], weights)
    onnx.checker.check_model(onnx.helper.make_model(graph))
    assert unfolded_batch_norms(graph) == (["norm"] if first == "Conv" and not shared else [])


# Lower precisions


@pytest.mark.parametrize("asked", PRECISIONS)
@pytest.mark.parametrize("counted", PRECISIONS)
def test_all_multiplications_have_the_precision_that_was_asked_for(
    written: Mapping[FloatPrecision, Path], asked: FloatPrecision, counted: FloatPrecision
) -> None:
    assert low_precision_share(written[asked], counted) == (1.0 if asked == counted else 0.0)


@pytest.mark.parametrize("precision", LOW)
def test_weights_take_half_while_input_and_tail_stay_float32(
    written: Mapping[FloatPrecision, Path], precision: FloatPrecision
) -> None:
    assert written[precision].stat().st_size < 0.51 * written["fp32"].stat().st_size
    low = onnx.shape_inference.infer_shapes(onnx.load(written[precision]))
    onnx.checker.check_model(low, full_check=True)
    types = {info.name: info.type.tensor_type.elem_type for info in low.graph.value_info}
    assert types["image"] == {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    assert types["logits"] == onnx.TensorProto.FLOAT
    assert [node.op_type for node in low.graph.node][:5] == ["Cast", "Transpose", "Sub", "Div", "Cast"]
    assert {"network.stem.0.weight", "network.classifier.3.weight"} < {weight.name for weight in low.graph.initializer}


def test_fp16_agrees_with_torch_in_fp32(
    graph: FrameNetwork, written: Mapping[FloatPrecision, Path], some_frames: NDArray[np.uint8]
) -> None:
    expected, _ = graph(torch.from_numpy(some_frames))
    found = np.concatenate([run(written["fp16"], frame)[0] for frame in some_frames])
    assert (found == expected.numpy()).mean() >= 0.99


def test_bf16_agrees_with_torch_in_fp32(
    graph: FrameNetwork, written: Mapping[FloatPrecision, Path], some_frames: NDArray[np.uint8]
) -> None:
    openvino = pytest.importorskip("openvino")
    expected, _ = graph(torch.from_numpy(some_frames))
    compiled = openvino.Core().compile_model(written["bf16"], "CPU")
    found = np.concatenate([compiled({"frame": frame[None]})["labels"] for frame in some_frames])
    assert (found == expected.numpy()).mean() >= 0.97


class Normed(nn.Module):
    """The least with a batch norm behind a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.classifier = nn.Conv2d(16, 19, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.relu(self.norm(self.stem(image))))
        return logits


def test_batch_norm_is_folded_before_weights_are_rounded(some_frames: NDArray[np.uint8], tmp_path: Path) -> None:
    """A variance as a network on pixels of 0..255 has it, beyond what fp16 holds."""
    network = Normed()
    network.norm.get_buffer("running_var").fill_(3e5)
    nn.init.constant_(network.norm.weight, 600.0)
    graph = deploy_graph(network)
    onnx_from_torch(graph, tmp_path / "a.onnx", {}, "fp16")
    expected, _ = graph(torch.from_numpy(some_frames[:1]))
    assert len(expected.unique()) > 3
    assert (run(tmp_path / "a.onnx", some_frames[0])[0] == expected.numpy()).mean() >= 0.99


def test_weight_beyond_fp16_is_refused_and_bf16_holds_it(tmp_path: Path) -> None:
    graph = deploy_graph(Normed())
    with torch.no_grad():
        graph.network.get_parameter("inner.classifier.weight")[3, 2] = -70_000.0
    with pytest.raises(GateError, match=r"network\.inner\.classifier\.weight reaches 70000 .*the 65504.*bf16"):
        onnx_from_torch(graph, tmp_path / "a.onnx", {}, "fp16")
    assert list(tmp_path.iterdir()) == []
    onnx_from_torch(graph, tmp_path / "a.onnx", {}, "bf16")


@pytest.mark.parametrize("precision", LOW)
def test_tensorrt_rtx_builds_it(
    graph: FrameNetwork, written: Mapping[FloatPrecision, Path], precision: FloatPrecision
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    is_parsed = parser.parse(written[precision].read_bytes())
    assert is_parsed, [str(parser.get_error(index)) for index in range(parser.num_errors)]
    settings = builder.create_builder_config()
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = builder.build_serialized_network(network, settings)
    assert engine.nbytes < 0.6 * 4 * sum(value.numel() for value in graph.parameters())


# Networks of others


class ForcesFloat(nn.Module):
    """Upsamples in float32 whatever it computes in, and again convolves what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=4, padding=1)
        self.norm = nn.LayerNorm(16)
        self.classifier = nn.Conv2d(16, 19, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features = torch.relu(self.stem(image))
        features = self.norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        features = nn.functional.interpolate(features.float(), scale_factor=2.0, mode="bilinear")
        rows = torch.arange(features.shape[2], dtype=torch.float32)[:, None] / features.shape[2]
        logits: Tensor = self.classifier(features + rows)
        return nn.functional.interpolate(logits.float(), size=image.shape[2:], mode="bilinear")


def users_own() -> nn.Module:
    """It returns a dict, and views that need its maps contiguous."""
    config = {"kind": "factory", "factory": "my_networks:small", "feature_layer": "encoder", "network_hw": FRAME_HW}
    return build_factory(FactoryConfig.model_validate(config), 19)


def segformer() -> nn.Module:
    config = {"kind": "smp", "architecture": "segformer", "encoder": "mit_b0", "network_hw": FRAME_HW}
    return build_smp(SmpConfig.model_validate(config), 19)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("make", [ForcesFloat, users_own, segformer])
def test_any_network_computes_in_the_precision_and_stays_itself(
    make: Callable[[], nn.Module],
    precision: FloatPrecision,
    some_frames: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        graph = deploy_graph(make())
    onnx_from_torch(graph, tmp_path / "a.onnx", {}, precision)
    assert low_precision_share(tmp_path / "a.onnx", precision) == 1.0
    if precision == "bf16":
        return
    labels, _, logits = run(tmp_path / "a.onnx", some_frames[0], "logits")
    stages = graph.stages(torch.from_numpy(some_frames[:1]))
    assert logits.dtype == np.float32
    error = np.sqrt(np.mean((logits - stages.logits.numpy()) ** 2)) / stages.logits.numpy().std()
    assert error < (1e-3 if precision == "fp32" else 2e-2)
    assert (labels == stages.labels.numpy()).mean() > (0.999 if precision == "fp32" else 0.98)


class Branches(nn.Module):
    """It decides by what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, 19, 1)

    def forward(self, image: Tensor) -> Tensor:
        seen: Tensor = torch.cond(image.mean() > 0, lambda x: x + 1.0, lambda x: x - 1.0, (image,))
        logits: Tensor = self.classifier(seen)
        return logits


@pytest.mark.filterwarnings("ignore")
def test_network_that_branches_is_refused_in_a_lower_precision(tmp_path: Path) -> None:
    graph = deploy_graph(Branches())
    onnx_from_torch(graph, tmp_path / "a.onnx", {})
    with pytest.raises(BackendError, match=r"branches or loops \(If .*export this network in fp32"):
        onnx_from_torch(graph, tmp_path / "b.onnx", {}, "fp16")
