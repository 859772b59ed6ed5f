"""The execution providers of ONNX Runtime that are served, and what each is told."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.files import writable_folder

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
    return Provider(CUDA, "cuda", "gpu", lambda _: {"device_id": str(device_id)}, cuda_device_id=device_id)


def tensorrt(device_id: int, cache: Path) -> Provider:
    """One NVIDIA GPU, through an engine that TensorRT builds from the model.

    Args:
        device_id: the GPU.
        cache: folder of engines, one folder a model inside, and of the timings they share.
    """

    def options(model: bytes) -> Mapping[str, str]:
        # Nothing but shapes and names are in ONNX Runtime's own name of an engine: the same network with other
        # weights would find that of the old ones.
        engines = writable_folder(cache / hashlib.sha256(model).hexdigest()[:16])
        # None of the switches for fp16, bf16 and INT8: without them TensorRT takes the types of the graph.
        return {
            "device_id": str(device_id),
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(cache),
        }

    needs = "it needs TensorRT 10 (libnvinfer.so.10, which TensorRT 11 does not bring) where the loader finds it; "
    return Provider(TENSORRT, "tensorrt_ep", "gpu", options, needs, device_id)
