"""The execution providers of ONNX Runtime that are served, and what each is told."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.errors import BackendError

__all__ = ["CUDA", "TENSORRT", "Provider", "cpu", "cuda", "tensorrt"]

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    `title` is its name in the config and `extra` the package that has it; `options` gives its settings for a model of
    these bytes; `needs` is what else must be installed, for messages. Without `cuda_device_id` it is the CPU's.
    """

    name: str
    title: str
    extra: Literal["cpu", "gpu"]
    options: Callable[[bytes], Mapping[str, str]]
    needs: str = ""
    cuda_device_id: int | None = None


def cpu() -> Provider:
    """The CPU."""
    return Provider("CPUExecutionProvider", "cpu", "cpu", lambda _: {})


def cuda(device_id: int) -> Provider:
    """One NVIDIA GPU, through CUDA and cuDNN."""
    needs = "check the GPU, its driver, CUDA and cuDNN; "
    return Provider(CUDA, "cuda", "gpu", lambda _: {"device_id": str(device_id)}, needs, device_id)


def tensorrt(device_id: int, cache: Path) -> Provider:
    """One NVIDIA GPU, through an engine that TensorRT builds from the model.

    Args:
        device_id: the GPU.
        cache: folder of engines, one folder a model inside, and of the timings they share. Who can write there decides
            what runs: no hash of a bundle covers it, and the golden frames are all that speaks for an engine.
    """

    def options(model: bytes) -> Mapping[str, str]:
        # Nothing but shapes and names are in ONNX Runtime's own name of an engine: the same network with other
        # weights would find that of the old ones.
        engines = cache / hashlib.sha256(model).hexdigest()[:16]
        try:
            engines.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(
                f"{engines} cannot be made ({error.strerror}); set backend.cache to another folder"
            ) from error
        # None of the switches for fp16, bf16 and INT8: without them TensorRT takes the types of the graph.
        return {
            "device_id": str(device_id),
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(cache),
        }

    needs = "check that TensorRT 10 (libnvinfer.so.10, which TensorRT 11 does not bring) is where the loader finds it; "
    return Provider(TENSORRT, "tensorrt_ep", "gpu", options, needs, device_id)
