"""Inference engines behind one verb; the config names one, and no other is tried."""

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from runtime.backends import ort_providers
from runtime.backends.config import (
    BackendConfig,
    CpuConfig,
    CudaConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TensorRtEpConfig,
)
from runtime.backends.engine import Engine, HostTail, LabelsInGraph
from runtime.backends.openvino import OpenVinoEngine
from runtime.backends.ort import OnnxRuntimeEngine
from runtime.backends.tensorrt.engine import TensorRtEngine
from runtime.backends.tensors import LogitsLayout
from runtime.bundle.manifest import EngineInfo

__all__ = ["Backend", "open_backend"]


class Backend(Protocol):
    """A loaded network of fixed frame size; used by one thread at a time."""

    def infer(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Labels and confidence of one frame.

        Args:
            frame: (1, H, W, 3) RGB, contiguous.

        Returns:
            Two (1, H, W) arrays, read-only and valid until the next call.

        Raises:
            BackendError: the engine failed, or the backend is closed.
        """
        ...

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        ...


def open_backend(
    config: BackendConfig,
    model: Path,
    frame_hw: tuple[int, int],
    logits: LogitsLayout | None = None,
    *,
    engine_info: EngineInfo | None = None,
) -> Backend:
    """Load an artefact into the engine that the config names.

    Args:
        config: which engine, and its options.
        model: a self-contained ONNX file, or an engine of TensorRT; the caller has verified its content.
        frame_hw: frame size that the artefact must take.
        logits: for an artefact of tail `logits`, how they lie; the host then makes labels and confidence of them.
        engine_info: what the manifest says of an engine of TensorRT.

    Raises:
        BackendError: the engine is not installed, cannot do what the config asks, or refuses the artefact.
    """
    engine = _open_engine(config, model, frame_hw, logits, engine_info)
    with ExitStack() as on_failure:
        on_failure.callback(engine.close)
        backend = LabelsInGraph(engine) if logits is None else HostTail(engine, frame_hw, logits)
        on_failure.pop_all()
    return backend


def _open_engine(
    config: BackendConfig,
    model: Path,
    frame_hw: tuple[int, int],
    logits: LogitsLayout | None,
    engine_info: EngineInfo | None,
) -> Engine:
    match config:
        case CpuConfig(threads=threads, is_spinning=is_spinning):
            provider = ort_providers.cpu()
            return OnnxRuntimeEngine(
                model, frame_hw, logits, provider=provider, threads=threads, is_spinning=is_spinning
            )
        case CudaConfig(device_id=device_id):
            return OnnxRuntimeEngine(model, frame_hw, logits, provider=ort_providers.cuda(device_id))
        case TensorRtEpConfig(device_id=device_id, cache=cache):
            return OnnxRuntimeEngine(model, frame_hw, logits, provider=ort_providers.tensorrt(device_id, cache))
        case TensorRtConfig(device_id=device_id, cuda_graph=cuda_graph):
            assert engine_info is not None
            return TensorRtEngine(model, engine_info, frame_hw, logits, device_id=device_id, cuda_graph=cuda_graph)
        case OpenVinoConfig(precision=precision, threads=threads):
            return OpenVinoEngine(model, frame_hw, logits, precision=precision, threads=threads)
        case _:
            assert_never(config)
