import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from export.backends import why_not_run
from export.bundle import export_bundle
from export.config import ExportConfig, TensorRtConfig
from export.tensorrt_from_onnx import find_engine_library, tensorrt_from_onnx
from runtime.errors import BackendError
from runtime.manifest import EngineInfo
from runtime.segmenter import Segmenter

MakeConfig = Callable[..., ExportConfig]
needs_builder = pytest.mark.tensorrt


@pytest.fixture
def builder_name() -> str:
    try:
        name = find_engine_library().name
    except BackendError as error:
        pytest.skip(str(error))
    if name == "tensorrt" and not torch.cuda.is_available():
        pytest.skip("tensorrt builds only where there is a GPU")
    return name


@needs_builder
def test_engine_is_built_and_served_only_where_it_was_compared(
    builder_name: str, make_config: MakeConfig, exported: ExportConfig
) -> None:
    config = make_config(
        checkpoint=exported.checkpoint,
        artefacts=["tensorrt", "onnx"],
        tensorrt={"compute_capabilities": ["8.6", "8.9"]},
    )
    onnx_artefact, engine = export_bundle(config).artefacts
    assert (onnx_artefact.format, engine.format, engine.file) == ("onnx", "tensorrt", "fp32.engine")
    assert engine.engine is not None
    assert engine.engine.library == builder_name
    if builder_name == "tensorrt_rtx":
        assert engine.engine.compute_capabilities == ("8.6", "8.9")
    # 11.5 million float32 weights, so it really is fp32 and holds them all.
    assert 44e6 < engine.num_bytes < 60e6
    if not torch.cuda.is_available():
        assert engine.parity is None
        assert engine.not_run == "no CUDA device on the exporting machine"
    Segmenter.open(config.bundle).close()
    # Same checkpoint, same frame size: the ONNX is the same to the byte, whatever else is exported with it.
    assert (config.bundle / "fp32.onnx").read_bytes() == (exported.bundle / "fp32.onnx").read_bytes()


@needs_builder
def test_refused_graph_is_explained_by_the_parser(builder_name: str, tmp_path: Path) -> None:
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 4, 4, 3])
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 4, 4])
    node = helper.make_node("Transpose", ["frame"], ["image"], perm=[0, 3, 1, 2])
    graph = helper.make_graph([node], "transpose_uint8", [frame], [image])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(BackendError, match=r"(?s)refuses bad\.onnx: .*Transpose"):
        tensorrt_from_onnx(tmp_path / "bad.onnx", tmp_path / "bad.engine", TensorRtConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


@needs_builder
def test_unknown_gpu_is_refused_with_those_that_are_known(
    builder_name: str, exported: ExportConfig, tmp_path: Path
) -> None:
    if builder_name != "tensorrt_rtx":
        pytest.skip("tensorrt builds for the GPU it runs on")
    with pytest.raises(BackendError, match=r"compute capability 3\.5; it knows .*SM86"):
        tensorrt_from_onnx(
            exported.bundle / "fp32.onnx", tmp_path / "a.engine", TensorRtConfig(compute_capabilities=("3.5",))
        )
    assert list(tmp_path.iterdir()) == []


def test_missing_tensorrt_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # The documented way to make an import fail.
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
    with pytest.raises(BackendError, match=r"pip install 'iapc\[tensorrt\]'"):
        find_engine_library()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_engine_is_not_run_without_a_gpu() -> None:
    engine = EngineInfo(library="tensorrt_rtx", version="1.7", compute_capabilities=("8.6",))
    assert why_not_run(engine) == "no CUDA device on the exporting machine"
