"""CUDA and TensorRT where there is no GPU: device memory is host memory, and work on a stream is done at once.

Work that is put on a stream while it is being recorded is kept instead, and done when the graph is launched. The fake
TensorRT computes the strongest colour channel.
"""

# ruff: noqa: N802, N815  the names are CUDA's and TensorRT's

import ctypes
import enum
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime.backends.tensorrt.plan import HEADER
from runtime.bundle.manifest import EngineInfo

FRAME_HW = (16, 24)
VERSION = (10, 16, 1, 11)


class FakeCuda:
    """The functions of cuda.bindings.runtime that are used; `calls` has their names and `failing` makes one fail."""

    cudaError_t = enum.Enum(
        "cudaError_t", {"cudaSuccess": 0, "cudaErrorMemoryAllocation": 2, "cudaErrorIllegalAddress": 700}
    )
    cudaMemcpyKind = enum.Enum("cudaMemcpyKind", {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2})
    cudaStreamCaptureMode = enum.Enum("cudaStreamCaptureMode", {"cudaStreamCaptureModeThreadLocal": 1})
    cudaDeviceAttr = enum.Enum(
        "cudaDeviceAttr", {"cudaDevAttrComputeCapabilityMajor": 75, "cudaDevAttrComputeCapabilityMinor": 76}
    )
    cudaHostAllocDefault, cudaStreamNonBlocking = 0, 1

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, str] = {}
        self.memory: dict[int, Any] = {}
        self.handles: set[int] = set()
        self.recorded: list[Callable[[], object]] | None = None
        self.graphs: dict[int, list[Callable[[], object]]] = {}

    def do(self, work: Callable[[], object]) -> None:
        """Work that arrives on the stream."""
        if self.recorded is None:
            work()
        else:
            self.recorded.append(work)

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        function = getattr(self, f"_{name}")

        def called(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append(name)
            if name in self.failing:
                # What fails while work is recorded makes the recording worthless.
                self.recorded = None
                return self.cudaError_t[self.failing[name]], None
            return (self.cudaError_t.cudaSuccess, *function(*arguments))

        called.__name__ = name
        return called

    def cudaGetErrorString(self, status: enum.Enum) -> tuple[Any, bytes]:
        return self.cudaError_t.cudaSuccess, f"what {status.value} means".encode()

    def _cudaSetDevice(self, device: int) -> tuple[()]:
        return ()

    def _cudaDeviceGetAttribute(self, attribute: enum.Enum, device: int) -> tuple[int]:
        return ({75: 8, 76: 6}[attribute.value],)

    def _cudaStreamCreateWithFlags(self, flags: int) -> tuple[int]:
        return (self._handle(),)

    def _cudaStreamDestroy(self, stream: int) -> tuple[()]:
        self.handles.remove(stream)
        return ()

    def _cudaStreamSynchronize(self, stream: int) -> tuple[()]:
        assert stream in self.handles
        assert self.recorded is None
        return ()

    def _cudaHostAlloc(self, num_bytes: int, flags: int) -> tuple[int]:
        return self._cudaMalloc(num_bytes)

    def _cudaMalloc(self, num_bytes: int) -> tuple[int]:
        block = (ctypes.c_uint8 * num_bytes)()
        self.memory[ctypes.addressof(block)] = block
        return (ctypes.addressof(block),)

    def _cudaFree(self, address: int) -> tuple[()]:
        del self.memory[address]
        return ()

    _cudaFreeHost = _cudaFree

    def _cudaMemcpyAsync(self, to: int, source: int, num_bytes: int, kind: enum.Enum, stream: int) -> tuple[()]:
        assert {to, source} <= self.memory.keys()
        self.do(partial(ctypes.memmove, to, source, num_bytes))
        return ()

    def _cudaStreamBeginCapture(self, stream: int, mode: enum.Enum) -> tuple[()]:
        self.recorded = []
        return ()

    def _cudaStreamEndCapture(self, stream: int) -> tuple[int]:
        assert self.recorded is not None
        graph = self._handle()
        self.graphs[graph], self.recorded = self.recorded, None
        return (graph,)

    def _cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[int]:
        launched = self._handle()
        self.graphs[launched] = self.graphs[graph]
        return (launched,)

    def _cudaGraphDestroy(self, graph: int) -> tuple[()]:
        self.handles.remove(graph)
        del self.graphs[graph]
        return ()

    _cudaGraphExecDestroy = _cudaGraphDestroy

    def _cudaGraphLaunch(self, graph: int, stream: int) -> tuple[()]:
        assert {graph, stream} <= self.handles
        for work in self.graphs[graph]:
            work()
        return ()

    def _handle(self) -> int:
        handle = 1 + max(self.graphs.keys() | self.handles, default=0)
        self.handles.add(handle)
        return handle


class FakeTensorRt:
    """The parts of TensorRT's module that are used; `is_failing` makes runs fail."""

    __version__ = ".".join(map(str, VERSION))
    DataType = enum.Enum("DataType", {"UINT8": 1, "FLOAT": 2, "HALF": 3})

    class ILogger:
        class Severity(enum.IntEnum):
            WARNING = 2

    def __init__(self, cuda: FakeCuda, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        self.cuda, self.tensors = cuda, tensors
        self.is_failing = False
        self.alive: list[str] = []

    def Runtime(self, logger: Any) -> Any:
        return FakeRuntime(self, logger)


class Counted:
    """Something of TensorRT's, which must not outlive what it was made by."""

    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt
        trt.alive.append(type(self).__name__)

    def __del__(self) -> None:
        assert self.trt.alive.pop() == type(self).__name__


class FakeRuntime(Counted):
    engine_host_code_allowed = False

    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        super().__init__(trt)
        self.logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> Any:
        return FakeEngine(self.trt, self.logger)


class FakeEngine(Counted):
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        super().__init__(trt)
        self.logger = logger
        self.num_io_tensors = len(trt.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.trt.tensors)[index]

    def get_tensor_dtype(self, name: str) -> enum.Enum:
        return self.trt.DataType[self.trt.tensors[name][0]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.trt.tensors[name][1]

    def create_execution_context(self) -> Any:
        return FakeContext(self.trt, self.logger)


class FakeContext(Counted):
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        super().__init__(trt)
        self.logger = logger
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in self.trt.tensors and address in self.trt.cuda.memory

    def execute_async_v3(self, stream: int) -> bool:
        self.trt.cuda.calls.append("execute_async_v3")
        self.logger.log(2, "kernel is slow" if not self.trt.is_failing else "kernel failed")
        if not self.trt.is_failing:
            self.trt.cuda.do(self._compute)
        return not self.trt.is_failing

    def _compute(self) -> None:
        frame = self._array("frame", np.uint8)
        channels = frame.transpose(0, 3, 1, 2).astype(np.float32)
        if "logits" in self.addresses:
            self._array("logits", np.float32)[:] = channels
        else:
            self._array("labels", np.uint8)[:] = channels.argmax(axis=1)
            self._array("confidence", np.uint8)[:] = channels.max(axis=1)

    def _array(self, name: str, dtype: Any) -> Any:
        block = self.trt.cuda.memory[self.addresses[name]]
        return np.frombuffer(block, dtype=dtype).reshape(self.trt.tensors[name][1])


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """CUDA on a GPU of compute capability 8.6."""
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", fake)
    return fake


@pytest.fixture
def tensorrt(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorRt]:
    """TensorRT, whose engine gives labels and confidence; `tensors` may be replaced before it is loaded."""
    maps = dict.fromkeys(("labels", "confidence"), ("UINT8", (1, *FRAME_HW)))
    fake = FakeTensorRt(cuda, {"frame": ("UINT8", (1, *FRAME_HW, 3)), **maps})
    monkeypatch.setitem(
        sys.modules,
        "tensorrt",
        SimpleNamespace(
            __version__=fake.__version__, DataType=fake.DataType, ILogger=fake.ILogger, Runtime=fake.Runtime
        ),
    )
    yield fake
    assert fake.alive == []


@pytest.fixture
def engine_file(tmp_path: Path) -> Path:
    """A file that says it is an engine of that TensorRT."""
    path = tmp_path / "fp32.engine"
    path.write_bytes(HEADER.pack(b"ftrt", 0, 64, *VERSION).ljust(64, b"\0"))
    return path


@pytest.fixture
def engine_info() -> EngineInfo:
    """What the manifest says of it."""
    return EngineInfo(
        library="tensorrt",
        version=".".join(map(str, VERSION)),
        compute_capabilities=("8.6",),
        onnx_sha256="0" * 64,
        profile={"frame": (1, *FRAME_HW, 3)},
        workspace_mib=1,
        fingerprint="0" * 64,
    )
