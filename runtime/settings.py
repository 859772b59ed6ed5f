"""Settings of `python -m runtime`: the `runtime` section of a run file."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runtime.config import StrictModel

__all__ = ["BackendConfig", "CpuConfig", "CudaConfig", "RuntimeConfig"]


class CpuConfig(StrictModel):
    """ONNX Runtime on the CPU; `threads` None takes every physical core."""

    provider: Literal["cpu"] = "cpu"
    threads: PositiveInt | None = None


class CudaConfig(StrictModel):
    """ONNX Runtime on one NVIDIA GPU; an operator that the GPU cannot run is an error, never a silent CPU node."""

    provider: Literal["cuda"] = "cuda"
    device_id: NonNegativeInt = 0


BackendConfig = Annotated[CpuConfig | CudaConfig, Field(discriminator="provider")]


class RuntimeConfig(StrictModel):
    """How a bundle is served.

    `overlay_opacity` is the share of the class colour in the overlays: 0 shows the frame, 1 the colours alone.
    """

    backend: BackendConfig = CpuConfig()
    overlay_opacity: float = Field(default=0.5, ge=0.0, le=1.0)
