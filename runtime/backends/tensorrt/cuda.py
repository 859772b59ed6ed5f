"""The CUDA runtime through NVIDIA's own bindings, with the status of every call checked."""

import ctypes
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import BackendError, MissingPackageError

__all__ = ["Cuda"]

# Those of which CUDA says that the process must be terminated and relaunched.
LASTING = frozenset(
    {
        "cudaErrorAssert",
        "cudaErrorContained",
        "cudaErrorExternalDevice",
        "cudaErrorHardwareStackError",
        "cudaErrorIllegalAddress",
        "cudaErrorIllegalInstruction",
        "cudaErrorInvalidAddressSpace",
        "cudaErrorInvalidPc",
        "cudaErrorLaunchFailure",
        "cudaErrorLaunchTimeout",
        "cudaErrorMisalignedAddress",
        "cudaErrorMpsClientTerminated",
        "cudaErrorTensorMemoryLeak",
    }
)
NO_DRIVER = "install or update the NVIDIA driver, or choose another backend.provider"
REMEDIES = {
    **dict.fromkeys(LASTING, "the GPU is lost to this process, which must be restarted"),
    "cudaErrorInsufficientDriver": NO_DRIVER,
    "cudaErrorNoDevice": NO_DRIVER,
    "cudaErrorInvalidDevice": "set backend.device_id to a GPU that nvidia-smi lists",
    "cudaErrorMemoryAllocation": "close what else uses the GPU, or serve a smaller artefact",
}


class Cuda:
    """The CUDA runtime on one GPU.

    Args:
        device_id: the GPU.

    Attributes:
        runtime: the bindings, for the functions and constants that `call` is given.

    Raises:
        BackendError: the bindings are not installed (`MissingPackageError`), or there is no driver or no such GPU.
    """

    def __init__(self, device_id: int) -> None:
        self.runtime: Any = _import_bindings()
        self._device_id = device_id
        self.select()

    def call(self, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        """Call a function of the CUDA runtime and give its result, or None where it has none.

        Raises:
            BackendError: its status is not success; the message says so where the process has to be restarted.
        """
        status, *results = function(*arguments)
        if status != self.runtime.cudaError_t.cudaSuccess:
            _, description = self.runtime.cudaGetErrorString(status)
            raise BackendError(
                f"{function.__name__} failed with {status.name} ({description.decode()}); "
                f"{REMEDIES.get(status.name, 'open the bundle again')}"
            )
        return results[0] if results else None

    def select(self) -> None:
        """Make the GPU that of the calling thread."""
        self.call(self.runtime.cudaSetDevice, self._device_id)

    def compute_capability(self) -> tuple[int, int]:
        """Major and minor number of the GPU's generation."""
        attributes = self.runtime.cudaDeviceAttr
        query = self.runtime.cudaDeviceGetAttribute
        major, minor = (
            int(self.call(query, attribute, self._device_id))
            for attribute in (
                attributes.cudaDevAttrComputeCapabilityMajor,
                attributes.cudaDevAttrComputeCapabilityMinor,
            )
        )
        return major, minor

    def pinned(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Host memory that the GPU copies from and to by itself, given back when no view of it is left."""
        num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self.call(self.runtime.cudaHostAlloc, num_bytes, self.runtime.cudaHostAllocDefault))
        memory = (ctypes.c_uint8 * num_bytes).from_address(address)
        # Results outlive the engine that made them: what is freed with the engine would be read after.
        free = weakref.finalize(memory, self.call, self.runtime.cudaFreeHost, address)
        # The driver may be gone by then, and takes its memory with it.
        free.atexit = False
        array: NDArray[Any] = np.frombuffer(memoryview(memory), dtype=dtype).reshape(shape)
        array.fill(0)
        return array


def _import_bindings() -> Any:
    try:
        return import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise MissingPackageError(
            f"CUDA's Python bindings cannot be imported ({error}); install them with `pip install 'iapc[tensorrt]'`"
        ) from error
