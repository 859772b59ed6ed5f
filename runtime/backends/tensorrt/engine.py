"""An engine of TensorRT 10, 11 or TensorRT-RTX on one GPU, in memory that is allocated once."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import read_only
from runtime.backends.tensorrt.cuda import Cuda
from runtime.backends.tensorrt.gpu import require_gpu
from runtime.backends.tensorrt.library import open_engine_library, said
from runtime.backends.tensorrt.loading import load, tensors_of
from runtime.backends.tensorrt.plan import require_loadable
from runtime.backends.tensors import LogitsLayout, check_tensors
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError

__all__ = ["TensorRtEngine"]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An input or output: pinned memory of the host, and the address of as many bytes on the GPU."""

    host: NDArray[Any]
    device: int


class TensorRtEngine:
    """An engine with its own stream, pinned buffers and, unless told otherwise, a CUDA graph of a whole frame.

    Args:
        path: the engine; the caller has verified its content.
        info: what the manifest says about it.
        frame_hw: frame size that it must take.
        logits: what it gives instead of labels and confidence; None where it gives those.
        device_id: the GPU.
        cuda_graph: launch the copies and kernels of a frame as one recorded piece of work.

    Attributes:
        outputs: see `Engine.outputs`.

    Raises:
        BackendError: the engine was built by another library or version or for another GPU, does not load here, has
            other tensors than the manifest promises, or a package or the driver is missing.
    """

    def __init__(
        self,
        path: Path,
        info: EngineInfo,
        frame_hw: tuple[int, int],
        logits: LogitsLayout | None = None,
        *,
        device_id: int = 0,
        cuda_graph: bool = True,
    ) -> None:
        require_loadable(path, info)
        library = open_engine_library(info.library)
        self._cuda = Cuda(device_id)
        require_gpu(path, info, self._cuda.compute_capability())
        self._title = library.title
        self._logger = library.logger()
        self._graph: Any = None
        with ExitStack() as resources:
            runtime = self._cuda.runtime
            self._stream = self._cuda.call(runtime.cudaStreamCreateWithFlags, runtime.cudaStreamNonBlocking)
            resources.callback(self._cuda.call, runtime.cudaStreamDestroy, self._stream)
            # Held in one place, so that closing lets go of them in TensorRT's order: context, engine, runtime.
            self._loaded = load(library, self._logger, path, info)
            resources.callback(self._unload)
            tensors = tensors_of(library.module, self._loaded[1])
            check_tensors(path, tensors, frame_hw, logits)
            bound = {name: self._bind(path, name, *described, resources) for name, described in tensors.items()}
            self._frame = bound.pop("frame")
            self._outputs = tuple(bound.values())
            self.outputs: Mapping[str, NDArray[Any]] = {name: read_only(tensor.host) for name, tensor in bound.items()}
            # The first run allocates and chooses, which cannot be recorded.
            self._enqueue()
            self._synchronize()
            if cuda_graph:
                self._graph = self._record()
                resources.callback(self._cuda.call, runtime.cudaGraphExecDestroy, self._graph)
            self._resources = resources.pop_all()

    def run(self, frame: NDArray[np.uint8]) -> None:
        """Compute the outputs of one frame; see `Engine.run`."""
        if not self._loaded:
            raise BackendError("the backend is closed; open the bundle again to segment more frames")
        np.copyto(self._frame.host, frame, casting="no")
        # The thread may be another than last time, and each has a GPU of its own.
        self._cuda.select()
        if self._graph is not None:
            self._cuda.call(self._cuda.runtime.cudaGraphLaunch, self._graph, self._stream)
        else:
            try:
                self._enqueue()
            except BackendError:
                # Where the GPU is lost TensorRT says only that it failed, and CUDA says why.
                self._synchronize()
                raise
        self._synchronize()

    def close(self) -> None:
        """Give back the engine's memory; see `Engine.close`."""
        self._resources.close()

    def _enqueue(self) -> None:
        """Put the work of one frame on the stream."""
        copy, kinds = self._cuda.runtime.cudaMemcpyAsync, self._cuda.runtime.cudaMemcpyKind
        host, device = self._frame.host, self._frame.device
        self._cuda.call(copy, device, host.ctypes.data, host.nbytes, kinds.cudaMemcpyHostToDevice, self._stream)
        # A warning at every frame would fill the memory.
        self._logger.lines.clear()
        if not self._loaded[-1].execute_async_v3(int(self._stream)):
            raise BackendError(f"{self._title} failed on a frame: {said(self._logger)}; open the bundle again")
        for tensor in self._outputs:
            host, device = tensor.host, tensor.device
            self._cuda.call(copy, host.ctypes.data, device, host.nbytes, kinds.cudaMemcpyDeviceToHost, self._stream)

    def _synchronize(self) -> None:
        self._cuda.call(self._cuda.runtime.cudaStreamSynchronize, self._stream)

    def _record(self) -> Any:
        """Record the work of one frame and give what launches it."""
        runtime, call = self._cuda.runtime, self._cuda.call
        # Of this thread alone: another engine that is opened meanwhile allocates, which would end the recording.
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            call(runtime.cudaStreamBeginCapture, self._stream, mode)
            try:
                self._enqueue()
            finally:
                recorded = call(runtime.cudaStreamEndCapture, self._stream)
            try:
                return call(runtime.cudaGraphInstantiate, recorded, 0)
            finally:
                call(runtime.cudaGraphDestroy, recorded)
        except BackendError as error:
            raise BackendError(
                f"{self._title} cannot record a frame as a CUDA graph: {error}; set backend.cuda_graph to false"
            ) from error

    def _bind(self, path: Path, name: str, dtype: str, shape: tuple[Any, ...], resources: ExitStack) -> _Tensor:
        host = self._cuda.pinned(shape, dtype)
        device = int(self._cuda.call(self._cuda.runtime.cudaMalloc, host.nbytes))
        resources.callback(self._cuda.call, self._cuda.runtime.cudaFree, device)
        if not self._loaded[-1].set_tensor_address(name, device):
            raise BackendError(f"{self._title}: {path.name} does not take {name!r}: {said(self._logger)}")
        return _Tensor(host, device)

    def _unload(self) -> None:
        while self._loaded:
            self._loaded.pop()
