"""CUDA's own bindings, which say what they can where there is no driver."""

import inspect
import re
import sys
from typing import Any

import pytest

from runtime.backends.tensorrt import cuda, engine
from runtime.backends.tensorrt.cuda import LASTING, REMEDIES, Cuda
from runtime.errors import BackendError


@pytest.fixture
def bindings() -> Any:
    return pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")


def has_gpu(bindings: Any) -> bool:
    status, number = bindings.cudaGetDeviceCount()
    return bool(status == bindings.cudaError_t.cudaSuccess and number > 0)


def test_missing_package_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(BackendError, match=r"bindings cannot be imported .*pip install 'iapc\[tensorrt\]'"):
        Cuda(0)


def test_machine_without_a_driver_is_told_so(bindings: Any) -> None:
    if has_gpu(bindings):
        pytest.skip("there is a CUDA device")
    with pytest.raises(
        BackendError, match=r"^cudaSetDevice failed with cudaError\w+ \(.+\); install or update the NVI"
    ):
        Cuda(0)


def test_errors_that_last_are_those_of_which_cuda_says_so(bindings: Any) -> None:
    said = {error.name for error in bindings.cudaError_t if "terminated and relaunched" in _words(error.__doc__)}
    assert said <= LASTING
    assert set(REMEDIES) <= set(bindings.cudaError_t.__members__)


def _words(text: str | None) -> str:
    return " ".join((text or "").split())


# What is used, with what each function is given; the bindings state it in the first line of their documentation.
USED = {
    "cudaDeviceGetAttribute": "(attr: cudaDeviceAttr, int device)",
    "cudaFree": "(devPtr)",
    "cudaFreeHost": "(ptr)",
    "cudaGetErrorString": "(error: cudaError_t)",
    "cudaGraphDestroy": "(graph)",
    "cudaGraphExecDestroy": "(graphExec)",
    "cudaGraphInstantiate": "(graph, unsigned long long flags)",
    "cudaGraphLaunch": "(graphExec, stream)",
    "cudaHostAlloc": "(size_t size, unsigned int flags)",
    "cudaMalloc": "(size_t size)",
    "cudaMemcpyAsync": "(dst, src, size_t count, kind: cudaMemcpyKind, stream)",
    "cudaSetDevice": "(int device)",
    "cudaStreamBeginCapture": "(stream, mode: cudaStreamCaptureMode)",
    "cudaStreamCreateWithFlags": "(unsigned int flags)",
    "cudaStreamDestroy": "(stream)",
    "cudaStreamEndCapture": "(stream)",
    "cudaStreamSynchronize": "(stream)",
}
CONSTANTS = [
    "cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor",
    "cudaDeviceAttr.cudaDevAttrComputeCapabilityMinor",
    "cudaError_t.cudaSuccess",
    "cudaHostAllocDefault",
    "cudaMemcpyKind.cudaMemcpyDeviceToHost",
    "cudaMemcpyKind.cudaMemcpyHostToDevice",
    "cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal",
    "cudaStreamNonBlocking",
]


@pytest.mark.parametrize(("name", "arguments"), USED.items())
def test_function_takes_what_it_is_given(bindings: Any, name: str, arguments: str) -> None:
    assert getattr(bindings, name).__doc__.splitlines()[0] == name + arguments
    assert getattr(bindings, name).__name__ == name


@pytest.mark.parametrize("path", CONSTANTS)
def test_constant_is_there(bindings: Any, path: str) -> None:
    holder = bindings
    for part in path.split("."):
        holder = getattr(holder, part)


def test_nothing_else_of_the_bindings_is_used() -> None:
    source = inspect.getsource(cuda) + inspect.getsource(engine)
    stated = {part for path in CONSTANTS for part in path.split(".")}
    assert set(re.findall(r"\.(cuda[A-Z]\w+)", source)) == {*USED, *stated}
