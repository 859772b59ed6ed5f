from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from export.config import TensorRtConfig
from export.onnx_from_torch import onnx_from_torch
from export.tensorrt.build import build_engine
from runtime.backends.tensorrt.library import EngineLibrary
from runtime.backends.tensorrt.plan import read_plan
from runtime.bundle.manifest import Precision
from runtime.errors import BackendError, ConfigError, GateError
from runtime.files import sha256_of
from training.checkpoint import NetworkSpec
from training.frame_network import FrameNetwork
from training.networks.config import DeepLabV2Config

pytestmark = pytest.mark.tensorrt
MakeModel = Callable[..., Path]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "capabilities", [("8.0",), ("8.6",), ("8.9",), ("12.0",), ("8.0", "8.6", "8.9", "12.0")], ids="+".join
)
def test_every_precision_is_built_for_every_gpu(
    rtx: EngineLibrary,
    make_model: MakeModel,
    tmp_path: Path,
    precision: Precision,
    capabilities: tuple[str, ...],
) -> None:
    model, path = make_model("net", precision), tmp_path / "net.engine"
    info = build_engine(model, path, precision, TensorRtConfig(compute_capabilities=capabilities))
    assert read_plan(path).title == rtx.title
    assert (info.library, info.version) == ("tensorrt_rtx", rtx.version)
    assert info.compute_capabilities == capabilities
    assert info.onnx_sha256 == sha256_of(model)
    assert info.profile == {"frame": (1, 16, 24, 3)}
    assert info.flags[0] == "STRONGLY_TYPED"
    assert "TF32" not in info.flags
    assert (info.workspace_mib, info.gpu, info.driver) == (2048, None, None)


def test_real_deploy_graph_becomes_an_engine_that_holds_its_weights(rtx: EngineLibrary, tmp_path: Path) -> None:
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(64, 96))
    spec = NetworkSpec(model=model, label_space="cityscapes19", provenance={})
    network = FrameNetwork(spec.build(), model.convention, network_hw=(64, 96), frame_hw=(64, 96)).eval()
    onnx_from_torch(network, tmp_path / "fp32.onnx", {})
    build_engine(tmp_path / "fp32.onnx", tmp_path / "fp32.engine", "fp32", TensorRtConfig())
    # 11.5 million float32 weights, so it really is fp32 and holds them all.
    assert 44e6 < (tmp_path / "fp32.engine").stat().st_size < 60e6


def test_unsigned_integers_are_refused_with_the_file_to_use_instead(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model("int8-cpu", "int8", unsigned=True)
    with pytest.raises(BackendError, match=r"(?s)refuses int8-cpu\.onnx: .*zero point.*from int8-gpu\.onnx"):
        build_engine(model, tmp_path / "int8.engine", "int8", TensorRtConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["int8-cpu.onnx"]


def test_refused_graph_is_explained_by_the_parser(rtx: EngineLibrary, tmp_path: Path) -> None:
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 4, 4, 3])
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 4, 4])
    node = helper.make_node("Transpose", ["frame"], ["image"], perm=[0, 3, 1, 2])
    graph = helper.make_graph([node], "transpose_uint8", [frame], [image])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(BackendError, match=r"(?s)refuses bad\.onnx: .*Transpose") as caught:
        build_engine(tmp_path / "bad.onnx", tmp_path / "bad.engine", "fp32", TensorRtConfig())
    assert "int8-gpu" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


@pytest.mark.parametrize(
    ("asked", "given", "found"),
    [("fp16", "fp32", "2 in fp32"), ("fp32", "fp16", "2 in fp16"), ("int8", "bf16", "2 in bf16")],
)
def test_graph_of_another_precision_is_refused(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path, asked: Precision, given: Precision, found: str
) -> None:
    with pytest.raises(GateError, match=rf"engine of {asked}, .* found {found};"):
        build_engine(make_model("net", given), tmp_path / "net.engine", asked, TensorRtConfig())
    assert not (tmp_path / "net.engine").exists()


def test_int8_may_keep_some_layers_in_float_and_fp32_may_not(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model("mixed", "int8", float_convolutions=1)
    build_engine(model, tmp_path / "mixed.engine", "int8", TensorRtConfig())
    with pytest.raises(GateError, match="found 1 in fp32, 1 in int8"):
        build_engine(model, tmp_path / "fp32.engine", "fp32", TensorRtConfig())


def test_free_dimension_is_refused(rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"input 'frame' .* has shape \(1, -1, 24, 3\).* one frame size"):
        build_engine(make_model("free", height="height"), tmp_path / "free.engine", "fp32", TensorRtConfig())


def test_unknown_gpu_is_refused_with_those_that_are_known(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path
) -> None:
    # 9.0 is the data centre's Hopper, which TensorRT-RTX leaves out.
    config = TensorRtConfig(compute_capabilities=("8.6", "9.0"))
    with pytest.raises(ConfigError, match=r"cannot build for 9\.0; it knows SM75, SM80, SM86, SM89, SM120, SM121;"):
        build_engine(make_model("net"), tmp_path / "net.engine", "fp32", config)


@pytest.mark.parametrize("option", ["hardware_compatible", "version_compatible"])
def test_option_that_only_tensorrt_has_is_refused(rtx: EngineLibrary, tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=rf"tensorrt\.{option}=true: TensorRT-RTX .* has no such engines;"):
        build_engine(
            tmp_path / "not_read.onnx", tmp_path / "a.engine", "fp32", TensorRtConfig.model_validate({option: True})
        )


def test_progress_is_shown(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_engine(make_model("net"), tmp_path / "net.engine", "fp32", TensorRtConfig())
    shown = capsys.readouterr()
    assert "building net.engine: 100%" in shown.err
    assert shown.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_tensorrt_without_a_gpu_says_what_to_do(
    rtx: EngineLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("export.tensorrt.build.find_engine_library", lambda: EngineLibrary("tensorrt", rtx.module))
    with pytest.raises(BackendError, match="builds for the GPU it runs on, and torch sees none here"):
        build_engine(tmp_path / "not_read.onnx", tmp_path / "a.engine", "fp32", TensorRtConfig())
