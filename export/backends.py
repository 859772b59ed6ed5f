"""Opens each artefact behind the runtime's one verb, so that the gate compares like with like."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.tensorrt_from_onnx import find_engine_library
from runtime.errors import BackendError
from runtime.manifest import EngineInfo

__all__ = ["TensorRtBackend", "TorchBackend", "why_not_run"]

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class TorchBackend:
    """A module on the CPU, traced or not: frames in, `(labels, confidence)` out. Never a GPU: TF32 is not fp32."""

    def __init__(self, module: torch.nn.Module) -> None:
        """Wrap a module that is on the CPU and in evaluation mode."""
        self._module = module

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        with torch.inference_mode():
            labels, confidence = self._module(torch.from_numpy(frame))
        return labels.numpy(), confidence.numpy()

    def close(self) -> None:
        """Nothing to give back."""


class TensorRtBackend:
    """An engine on the first CUDA device, fed through torch's CUDA tensors.

    Raises:
        BackendError: the engine does not load here.
    """

    def __init__(self, path: Path, frame_hw: tuple[int, int]) -> None:
        trt, self._logger = _library_and_logger()
        self._runtime: Any = trt.Runtime(self._logger)
        self._engine: Any = self._runtime.deserialize_cuda_engine(path.read_bytes())
        self._context: Any = self._engine and self._engine.create_execution_context()
        if not self._context:
            raise BackendError(f"TensorRT cannot load {path.name}: {'; '.join(self._logger.lines)}")
        shapes = {"frame": (1, *frame_hw, 3), "labels": (1, *frame_hw), "confidence": (1, *frame_hw)}
        self._tensors = {name: torch.empty(shape, dtype=torch.uint8, device="cuda") for name, shape in shapes.items()}
        for name, tensor in self._tensors.items():
            if not self._context.set_tensor_address(name, tensor.data_ptr()):
                raise BackendError(f"engine {path.name} has no tensor {name!r}: {'; '.join(self._logger.lines)}")

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        self._tensors["frame"].copy_(torch.from_numpy(frame))
        # TensorRT synchronises needlessly on the default stream, and says so in a warning on every call.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise BackendError(f"TensorRT failed on a frame: {'; '.join(self._logger.lines)}")
        stream.synchronize()
        return self._tensors["labels"].cpu().numpy(), self._tensors["confidence"].cpu().numpy()

    def close(self) -> None:
        """Give back the engine's memory; a context must go before its engine, an engine before its runtime."""
        self._context = self._engine = self._runtime = None


def why_not_run(engine: EngineInfo) -> str | None:
    """Why an engine cannot be run on this machine; None where it can."""
    if not torch.cuda.is_available():
        return "no CUDA device on the exporting machine"
    major, minor = torch.cuda.get_device_capability()
    if f"{major}.{minor}" not in engine.compute_capabilities:
        return f"the exporting machine's GPU is of compute capability {major}.{minor}"
    return None


def _library_and_logger() -> tuple[Any, Any]:
    library = find_engine_library()
    return library.module, library.logger()
