"""Which engine serves a bundle: the `backend` group of the runtime's section."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = [
    "AnyBackendConfig",
    "AutoConfig",
    "BackendConfig",
    "CpuConfig",
    "CudaConfig",
    "OpenVinoConfig",
    "TensorRtConfig",
    "TensorRtEpConfig",
]


def _cache_folder() -> Path:
    """Where programs of this user keep what they can make again (the XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "iapc"


class CpuConfig(StrictModel):
    """ONNX Runtime on the CPU."""

    provider: Literal["cpu"] = "cpu"
    threads: PositiveInt | None = None
    """None takes one for each physical core that the opening thread may use."""
    is_spinning: bool = False
    """Whether idle threads keep their cores busy for a while, to begin the next frame some microseconds earlier."""


class CudaConfig(StrictModel):
    """ONNX Runtime on one NVIDIA GPU; an operator that the GPU cannot run is an error, never a silent CPU node."""

    provider: Literal["cuda"] = "cuda"
    device_id: NonNegativeInt = 0


class TensorRtEpConfig(StrictModel):
    """TensorRT inside ONNX Runtime, which builds an engine from an ONNX artefact when it is first opened.

    It computes in the types of the graph, and an operator that TensorRT refuses is an error.
    """

    provider: Literal["tensorrt_ep"] = "tensorrt_ep"
    device_id: NonNegativeInt = 0
    cache: Path = Field(default_factory=lambda: _cache_folder() / "tensorrt_ep")
    """Folder of engines and timings: building takes seconds to many minutes, loading what was built does not."""


class TensorRtConfig(StrictModel):
    """TensorRT or TensorRT-RTX with an engine of the bundle."""

    provider: Literal["tensorrt"] = "tensorrt"
    device_id: NonNegativeInt = 0
    cuda_graph: bool = True
    """Whether the copies and kernels of a frame are launched as one recorded piece of work."""


class OpenVinoConfig(StrictModel):
    """OpenVINO on the CPU.

    `precision` is that of whatever the artefact has in float: OpenVINO would choose bf16 by itself where the CPU has
    it, and give other labels on another CPU.
    """

    provider: Literal["openvino"] = "openvino"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: PositiveInt | None = None
    """None takes one for each physical core that the opening thread may use."""


class AutoConfig(StrictModel):
    """The fastest of this machine's engines, found by a short race when a bundle is first opened here."""

    provider: Literal["auto"] = "auto"
    race_s: PositiveFloat = 2.0
    """Time that is measured in all, opening the contenders apart."""
    cache: Path = Field(default_factory=lambda: _cache_folder() / "races.json")
    """File in which winners are remembered, by bundle and device."""
    threads: PositiveInt | None = None
    """CPU threads of every contender; None takes one for each physical core that the opening thread may use."""
    device_id: NonNegativeInt = 0
    """The GPU of every contender that has one."""


_Fixed: TypeAlias = CpuConfig | CudaConfig | TensorRtEpConfig | TensorRtConfig | OpenVinoConfig

BackendConfig = Annotated[_Fixed, Field(discriminator="provider")]
"""One engine and its options."""

AnyBackendConfig = Annotated[_Fixed | AutoConfig, Field(discriminator="provider")]
"""One engine, or the choice left to a race."""
