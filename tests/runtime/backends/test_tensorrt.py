"""The order of what is asked of CUDA and TensorRT, on fakes of both; a test on a GPU is in tests/export/tensorrt."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backends.config import TensorRtConfig
from runtime.backends.open import open_backend
from runtime.backends.tensorrt.engine import TensorRtEngine
from runtime.backends.tensors import LogitsLayout
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError, BundleError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

FRAME_HW = (16, 24)
FRAMES = np.random.default_rng(0).integers(0, 256, (4, 1, *FRAME_HW, 3), dtype=np.uint8)
Open = Callable[..., TensorRtEngine]


@pytest.fixture
def open_engine(tensorrt: Any, engine_file: Path, engine_info: EngineInfo) -> Open:
    def open_one(**options: Any) -> TensorRtEngine:
        return TensorRtEngine(engine_file, engine_info, FRAME_HW, **options)

    return open_one


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_each_frame_gets_its_own_labels_in_one_read_only_buffer(open_engine: Open, cuda_graph: bool) -> None:
    engine = open_engine(cuda_graph=cuda_graph)
    labels, confidence = engine.outputs["labels"], engine.outputs["confidence"]
    for frame in FRAMES:
        engine.run(frame)
        np.testing.assert_array_equal(labels, frame.argmax(axis=-1))
        np.testing.assert_array_equal(confidence, frame.max(axis=-1))
    with pytest.raises(ValueError, match="read-only"):
        labels[0, 0, 0] = 1
    engine.close()


def test_graph_is_recorded_once_after_a_first_run_and_launched_for_each_frame(open_engine: Open, cuda: Any) -> None:
    engine = open_engine()
    work = ["cudaMemcpyAsync", "execute_async_v3", "cudaMemcpyAsync", "cudaMemcpyAsync"]
    record = ["cudaStreamBeginCapture", *work, "cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphDestroy"]
    assert cuda.calls[-len(work) - 1 - len(record) :] == [*work, "cudaStreamSynchronize", *record]
    cuda.calls.clear()
    for frame in FRAMES:
        engine.run(frame)
    assert cuda.calls == ["cudaSetDevice", "cudaGraphLaunch", "cudaStreamSynchronize"] * len(FRAMES)
    engine.close()


def test_nothing_is_allocated_for_a_frame_without_a_graph_either(open_engine: Open, cuda: Any) -> None:
    engine = open_engine(cuda_graph=False)
    cuda.calls.clear()
    for _ in range(3):
        engine.run(FRAMES[0])
    copies = ["cudaMemcpyAsync"]
    frame_calls = ["cudaSetDevice", *copies, "execute_async_v3", *copies, *copies, "cudaStreamSynchronize"]
    assert cuda.calls == frame_calls * 3
    assert engine._logger.lines == ["kernel is slow"]
    engine.close()


def test_closing_gives_back_everything_and_the_stream_last(open_engine: Open, cuda: Any, tensorrt: Any) -> None:
    engine = open_engine()
    cuda.calls.clear()
    engine.close()
    engine.close()
    assert cuda.calls == ["cudaGraphExecDestroy", *["cudaFree"] * 3, "cudaStreamDestroy"]
    assert tensorrt.alive == []
    assert cuda.handles == set()
    with pytest.raises(BackendError, match="the backend is closed"):
        engine.run(FRAMES[0])


def test_results_outlive_their_engine(open_engine: Open, cuda: Any) -> None:
    engine = open_engine()
    engine.run(FRAMES[0])
    labels = engine.outputs["labels"][0, 3]
    engine.close()
    del engine
    gc.collect()
    np.testing.assert_array_equal(labels, FRAMES[0, 0, 3].argmax(axis=-1))
    assert len(cuda.memory) == 1
    del labels
    gc.collect()
    assert cuda.memory == {}


@pytest.mark.parametrize(
    "failing", ["cudaStreamCreateWithFlags", "cudaHostAlloc", "cudaMalloc", "cudaMemcpyAsync", "cudaGraphInstantiate"]
)
def test_what_fails_while_opening_leaves_nothing_behind(
    open_engine: Open, cuda: Any, tensorrt: Any, failing: str
) -> None:
    cuda.failing[failing] = "cudaErrorMemoryAllocation"
    with pytest.raises(BackendError, match=rf"{failing} failed with cudaErrorMemoryAllocation \(what 2 means\); close"):
        open_engine()
    gc.collect()
    assert (cuda.memory, cuda.handles, tensorrt.alive) == ({}, set(), [])


def test_recording_that_fails_says_how_to_do_without(open_engine: Open, cuda: Any) -> None:
    cuda.failing["cudaStreamEndCapture"] = "cudaErrorMemoryAllocation"
    with pytest.raises(BackendError, match=r"cannot record .* CUDA graph: .*; set backend\.cuda_graph to false"):
        open_engine()
    open_engine(cuda_graph=False).close()


@pytest.mark.parametrize(("cuda_graph", "failing"), [(True, "cudaGraphLaunch"), (False, "cudaStreamSynchronize")])
def test_lost_gpu_asks_for_another_process(
    open_engine: Open, cuda: Any, tensorrt: Any, cuda_graph: bool, failing: str
) -> None:
    engine = open_engine(cuda_graph=cuda_graph)
    cuda.failing[failing] = "cudaErrorIllegalAddress"
    tensorrt.is_failing = True
    with pytest.raises(
        BackendError, match=rf"{failing} failed with cudaErrorIllegalAddress .*process, which must be r"
    ):
        engine.run(FRAMES[0])
    engine.close()


def test_run_that_fails_says_what_tensorrt_said(open_engine: Open, tensorrt: Any) -> None:
    engine = open_engine(cuda_graph=False)
    tensorrt.is_failing = True
    with pytest.raises(BackendError, match=r"^TensorRT 10\.16\.1\.11 failed on a frame: kernel failed; open the bund"):
        engine.run(FRAMES[0])
    engine.close()


def test_engine_of_other_tensors_is_refused(open_engine: Open, cuda: Any, tensorrt: Any) -> None:
    tensorrt.tensors["frame"] = ("HALF", (1, *FRAME_HW, 3))
    with pytest.raises(BackendError, match=r"fp32\.engine has tensors .*HALF.*; the manifest promises"):
        open_engine()
    assert cuda.handles == set()


def test_engine_for_another_gpu_is_refused_before_it_is_loaded(
    tensorrt: Any, engine_file: Path, engine_info: EngineInfo
) -> None:
    other = engine_info.model_copy(update={"compute_capabilities": ("8.9", "12.0")})
    with pytest.raises(BackendError, match=r"for GPUs of compute capability 8\.9, 12\.0, and this one is of 8\.6"):
        TensorRtEngine(engine_file, other, FRAME_HW)
    compatible = engine_info.model_copy(update={"compute_capabilities": ("8.0",), "hardware_compatible": True})
    TensorRtEngine(engine_file, compatible, FRAME_HW).close()


def test_logits_get_their_labels_on_the_host(tensorrt: Any, engine_file: Path, engine_info: EngineInfo) -> None:
    tensorrt.tensors = {"frame": ("UINT8", (1, *FRAME_HW, 3)), "logits": ("FLOAT", (1, 3, *FRAME_HW))}
    backend = open_backend(
        TensorRtConfig(),
        engine_file,
        FRAME_HW,
        LogitsLayout(3, align_corners=False),
        engine_info=engine_info,
    )
    labels, _ = backend.infer(FRAMES[1])
    np.testing.assert_array_equal(labels, FRAMES[1].argmax(axis=-1))
    backend.close()


def test_bundle_is_served_by_its_engine_and_by_nothing_else(
    tensorrt: Any,
    bundle: Path,
    engine_file: Path,
    engine_info: EngineInfo,
    add_artefact: Callable[..., None],
    striped_frame: NDArray[np.uint8],
    striped_labels: NDArray[np.uint8],
) -> None:
    config = RuntimeConfig(backend=TensorRtConfig())
    with pytest.raises(
        BundleError, match=r"has no artefact fp32\.engine.*serves engines of TensorRT, and this is onnx"
    ):
        Segmenter.open(bundle, config)
    described = {"format": "tensorrt", "engine": engine_info.model_dump(mode="json")}
    add_artefact(bundle, "fp32.engine", engine_file.read_bytes(), **described)
    with Segmenter.open(bundle, config) as segmenter:
        np.testing.assert_array_equal(segmenter.segment(striped_frame).labels, striped_labels)
        assert segmenter.artefact is not None
        assert segmenter.artefact.file == "fp32.engine"
        assert segmenter.backend == config.backend
