"""Inference engines behind one verb; the config names one, and no other is tried."""

from pathlib import Path
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from runtime.backends.ort import OnnxRuntimeBackend
from runtime.settings import BackendConfig, CpuConfig, CudaConfig

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


def open_backend(config: BackendConfig, model: Path, *, frame_height: int, frame_width: int) -> Backend:
    """Load an ONNX artefact into the engine that the config names.

    Args:
        config: which engine, and its options.
        model: a self-contained ONNX file; the caller has verified its content.
        frame_height: height that the artefact must take, in pixels.
        frame_width: width that the artefact must take, in pixels.

    Raises:
        BackendError: the engine is not installed, cannot do what the config asks, or refuses the artefact.
    """
    frame_hw = (frame_height, frame_width)
    match config:
        case CpuConfig():
            return OnnxRuntimeBackend(model, frame_hw, threads=config.threads)
        case CudaConfig():
            return OnnxRuntimeBackend(model, frame_hw, cuda_device_id=config.device_id)
        case _:
            assert_never(config)
