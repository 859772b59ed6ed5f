import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from runtime.backends import ort, ort_providers
from runtime.backends.config import BackendConfig, CudaConfig, TensorRtEpConfig
from runtime.backends.cores import usable_cores
from runtime.backends.open import open_backend
from runtime.backends.ort import OnnxRuntimeEngine
from runtime.errors import BackendError

ROOT = Path(__file__).parents[3]
FRAME_HW = (16, 24)
ALL_PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


class OtherSession:
    """What ONNX Runtime gives where a provider's libraries are missing: a session on the CPU and a line in the log."""

    asked: Any = None

    def __init__(self, content: bytes, options: Any, *, providers: Any, enable_fallback: bool) -> None:
        OtherSession.asked = options, providers, enable_fallback

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.fixture
def other_session(monkeypatch: pytest.MonkeyPatch) -> type[OtherSession]:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL_PROVIDERS)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OtherSession)
    return OtherSession


def open_with(config: BackendConfig, bundle: Path) -> Any:
    return open_backend(config, bundle / "fp32.onnx", FRAME_HW)


@pytest.mark.parametrize(("is_spinning", "entry"), [(True, "1"), (False, "0")])
def test_threads_and_spinning_are_as_asked(bundle: Path, is_spinning: bool, entry: str) -> None:
    provider = ort_providers.cpu()
    engine = OnnxRuntimeEngine(bundle / "fp32.onnx", FRAME_HW, provider=provider, threads=3, is_spinning=is_spinning)
    options = engine._session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == entry
    engine.close()


def test_threads_that_are_asked_for_are_tied_to_cores_as_those_by_default_are(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "usable_cores", lambda: [[0], [1]])
    for threads in (2, None):
        engine = OnnxRuntimeEngine(bundle / "fp32.onnx", FRAME_HW, provider=ort_providers.cpu(), threads=threads)
        options = engine._session.get_session_options()
        assert options.intra_op_num_threads == 2
        assert options.get_session_config_entry("session.intra_op_thread_affinities") == "2"
        engine.close()


def test_the_calling_thread_computes_on_the_first_core_alone(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, (first, *_) = os.sched_getaffinity(0), usable_cores()
    engine = OnnxRuntimeEngine(bundle / "fp32.onnx", FRAME_HW, provider=ort_providers.cpu(), threads=len(own))
    seen = []
    session = engine._session

    class Session:
        def run_with_iobinding(self, binding: Any) -> None:
            seen.append(os.sched_getaffinity(0))
            session.run_with_iobinding(binding)

    monkeypatch.setattr(engine, "_session", Session())
    engine.run(np.zeros((1, *FRAME_HW, 3), dtype=np.uint8))
    assert seen == [set(first) if len(usable_cores()) >= len(own) else own]
    assert os.sched_getaffinity(0) == own
    engine.close()


def test_tensorrt_is_never_replaced_where_this_onnx_runtime_lacks_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL_PROVIDERS[1:])
    with pytest.raises(BackendError, match=r"provider tensorrt_ep was asked for, but .* only CUDA.*iapc\[gpu\]"):
        open_with(TensorRtEpConfig(cache=tmp_path), bundle)


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (TensorRtEpConfig(), r"TensorrtExecutionProvider; check that TensorRT 10 \(libnvinfer\.so\.10"),
        (CudaConfig(), r"CUDAExecutionProvider; check the GPU, its driver, CUDA and cuDNN"),
    ],
)
def test_graph_that_another_provider_got_is_an_error(
    bundle: Path, tmp_path: Path, other_session: type[OtherSession], config: BackendConfig, needs: str
) -> None:
    if isinstance(config, TensorRtEpConfig):
        config = config.model_copy(update={"cache": tmp_path})
    with pytest.raises(BackendError, match=rf"with CPUExecutionProvider instead of {needs}"):
        open_with(config, bundle)
    options, _, enable_fallback = other_session.asked
    assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    assert not enable_fallback


def test_tensorrt_takes_the_types_of_the_graph_and_keeps_an_engine_a_model(
    bundle: Path, tmp_path: Path, other_session: type[OtherSession]
) -> None:
    with pytest.raises(BackendError):
        open_with(TensorRtEpConfig(device_id=1, cache=tmp_path), bundle)
    _, [(name, options)], _ = other_session.asked
    assert name == "TensorrtExecutionProvider"
    assert set(options) == {
        "device_id",
        "trt_engine_cache_enable",
        "trt_engine_cache_path",
        "trt_timing_cache_enable",
        "trt_timing_cache_path",
    }
    assert options["device_id"] == "1"
    first = Path(options["trt_engine_cache_path"])
    assert first.is_dir()
    other = ort_providers.tensorrt(1, tmp_path).options(b"other weights")
    assert {Path(other["trt_engine_cache_path"]).parent, Path(options["trt_timing_cache_path"])} == {tmp_path}
    assert Path(other["trt_engine_cache_path"]) != first


def test_engine_cache_that_cannot_be_made_is_told(bundle: Path, tmp_path: Path, other_session: type[Any]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match=r"cannot be made \(Not a directory\); set backend\.cache to another folder"):
        open_with(TensorRtEpConfig(cache=tmp_path / "file"), bundle)
