"""Runs an engine behind the runtime's one verb, so that the gate compares like with like."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.tensorrt.library import open_engine_library
from export.tensorrt.plan import require_loadable
from runtime.errors import BackendError
from runtime.manifest import EngineInfo

__all__ = ["TensorRtBackend", "why_not_run"]

AMPERE = (8, 0)


class TensorRtBackend:
    """An engine on the first CUDA device, fed through torch's CUDA tensors.

    Args:
        path: the engine; the caller has verified its content.
        frame_hw: height and width of the frames it takes.
        info: what the manifest says about it.

    Raises:
        BackendError: the engine was built by another library or version, does not load here, or takes or gives
            something else than `frame` (1, H, W, 3), `labels` and `confidence` (1, H, W), all uint8.
    """

    def __init__(self, path: Path, frame_hw: tuple[int, int], info: EngineInfo) -> None:
        require_loadable(path, info)
        library = open_engine_library(info.library)
        self._logger = library.logger()
        self._runtime: Any = library.module.Runtime(self._logger)
        # A version-compatible engine carries the code of its own runtime, which TensorRT runs only when told to.
        self._runtime.engine_host_code_allowed = info.version_compatible
        self._engine: Any = self._runtime.deserialize_cuda_engine(path.read_bytes())
        self._context: Any = self._engine and self._engine.create_execution_context()
        if not self._context:
            raise BackendError(f"{library.title} cannot load {path.name}: {'; '.join(self._logger.lines)}")
        shapes = {"frame": (1, *frame_hw, 3), "labels": (1, *frame_hw), "confidence": (1, *frame_hw)}
        _check_tensors(library.module, self._engine, path, shapes)
        self._tensors = {name: torch.empty(shape, dtype=torch.uint8, device="cuda") for name, shape in shapes.items()}
        for name, tensor in self._tensors.items():
            if not self._context.set_tensor_address(name, tensor.data_ptr()):
                raise BackendError(f"{path.name} does not take {name!r}: {'; '.join(self._logger.lines)}")

    def infer(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        if self._context is None:
            raise BackendError("the backend is closed; open the engine again to segment more frames")
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


def why_not_run(info: EngineInfo) -> str | None:
    """Why an engine cannot be run on this machine; None where it can."""
    if not torch.cuda.is_available():
        return "no CUDA device on the exporting machine"
    major, minor = torch.cuda.get_device_capability()
    if f"{major}.{minor}" in info.compute_capabilities:
        return None
    if info.hardware_compatible and (major, minor) >= AMPERE:
        return None
    return f"the exporting machine's GPU is of compute capability {major}.{minor}"


def _check_tensors(trt: Any, engine: Any, path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {name: (engine.get_tensor_dtype(name), tuple(engine.get_tensor_shape(name))) for name in names}
    expected = {name: (trt.DataType.UINT8, shape) for name, shape in shapes.items()}
    if found != expected:
        raise BackendError(f"{path.name} has tensors {found}; the manifest promises {expected}; export it again")
