from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from export.config import TensorRtConfig
from export.tensorrt.build import build_engine
from export.tensorrt.gpu import why_not_run
from runtime.backends.tensorrt.engine import TensorRtEngine
from runtime.backends.tensorrt.library import EngineLibrary
from runtime.errors import BackendError

FRAME_HW = (16, 24)
MakeModel = Callable[..., Path]
pytestmark = pytest.mark.tensorrt
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@without_gpu
def test_engine_is_not_run_without_a_gpu(rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path) -> None:
    info = build_engine(make_model("net"), tmp_path / "net.engine", "fp32", TensorRtConfig())
    assert why_not_run(info) == "no CUDA device on the exporting machine"
    with pytest.raises(
        BackendError, match=r"^cudaSetDevice failed with cudaError.*; install or update the NVIDIA driv"
    ):
        TensorRtEngine(tmp_path / "net.engine", info, FRAME_HW)


def test_file_that_is_no_engine_never_reaches_the_library(
    rtx: EngineLibrary, make_model: MakeModel, tmp_path: Path
) -> None:
    info = build_engine(make_model("net"), tmp_path / "net.engine", "fp32", TensorRtConfig())
    with pytest.raises(BackendError, match=r"^net\.onnx is not an engine"):
        TensorRtEngine(tmp_path / "net.onnx", info, FRAME_HW)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("cuda_graph", [True, False])
def test_engine_gives_the_labels_of_the_graph(make_model: MakeModel, tmp_path: Path, cuda_graph: bool) -> None:
    import onnxruntime

    path = make_model("net")
    major, minor = torch.cuda.get_device_capability()
    config = TensorRtConfig(compute_capabilities=(f"{major}.{minor}",))
    info = build_engine(path, tmp_path / "net.engine", "fp32", config)
    engine = TensorRtEngine(tmp_path / "net.engine", info, FRAME_HW, cuda_graph=cuda_graph)
    session = onnxruntime.InferenceSession(path)
    for frame in np.random.default_rng(0).integers(0, 256, (3, 1, *FRAME_HW, 3), dtype=np.uint8):
        engine.run(frame)
        expected, _ = session.run(None, {"frame": frame})
        assert (engine.outputs["labels"] == expected).mean() > 0.99
    engine.close()
    with pytest.raises(BackendError, match="the backend is closed"):
        engine.run(frame)
