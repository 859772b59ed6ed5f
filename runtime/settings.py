"""Settings of `python -m runtime`: the `runtime` section of a run file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runtime.config import StrictModel

__all__ = ["BackendConfig", "CpuConfig", "CudaConfig", "OpenVinoConfig", "RuntimeConfig"]


class CpuConfig(StrictModel):
    """ONNX Runtime on the CPU; `threads` None takes every physical core."""

    provider: Literal["cpu"] = "cpu"
    threads: PositiveInt | None = None


class CudaConfig(StrictModel):
    """ONNX Runtime on one NVIDIA GPU; an operator that the GPU cannot run is an error, never a silent CPU node."""

    provider: Literal["cuda"] = "cuda"
    device_id: NonNegativeInt = 0


class OpenVinoConfig(StrictModel):
    """OpenVINO on the CPU; `threads` None takes every physical core.

    `precision` is that of whatever the artefact has in float: OpenVINO would choose bf16 by itself where the CPU has
    it, and give other labels on another CPU.
    """

    provider: Literal["openvino"] = "openvino"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: PositiveInt | None = None


BackendConfig = Annotated[CpuConfig | CudaConfig | OpenVinoConfig, Field(discriminator="provider")]


class RuntimeConfig(StrictModel):
    """How a bundle is served.

    `artefact` is the file in the bundle to serve; None takes fp32.onnx. `public_key` is the PEM file of the key that
    must have signed the bundle; None asks for no signature. `overlay_opacity` is the share of the class colour in the
    overlays: 0 shows the frame, 1 the colours alone.
    """

    backend: BackendConfig = CpuConfig()
    artefact: str | None = None
    public_key: Path | None = None
    overlay_opacity: float = Field(default=0.5, ge=0.0, le=1.0)
