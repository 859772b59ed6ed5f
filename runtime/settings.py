"""Settings of `python -m runtime`: the `runtime` section of a run file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runtime.config import StrictModel
from runtime.drift.config import DriftConfig
from runtime.harvest.config import HarvestConfig
from runtime.health.config import HealthConfig
from runtime.live.config import LiveConfig
from runtime.loop.config import LoopConfig
from runtime.sinks.config import SinkConfig
from runtime.sources.config import SourceConfig
from runtime.supervisor.config import SupervisorConfig
from runtime.swap.config import SwapConfig

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
    """How a bundle is opened, and how `python -m runtime serve` runs it."""

    backend: BackendConfig = CpuConfig()
    artefact: str | None = None
    """File of the bundle to serve; None takes fp32.onnx."""
    public_key: Path | None = None
    """PEM file of the key that must have signed the bundle; None asks for no signature."""
    overlay_opacity: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the class colour in overlays: 0 shows the frame, 1 the colours alone."""
    bundle: Path | None = None
    """The bundle that `serve` runs."""
    source: SourceConfig | None = None
    """Where `serve` gets its frames."""
    sinks: tuple[SinkConfig, ...] = ()
    loop: LoopConfig = LoopConfig()
    health: HealthConfig = HealthConfig()
    live: LiveConfig | None = LiveConfig()
    """None serves no page and no metrics."""
    drift: DriftConfig | None = DriftConfig()
    """None does not look for drift."""
    harvest: HarvestConfig | None = None
    """None keeps no frame."""
    swap: SwapConfig | None = None
    """None serves one bundle until the end."""
    supervisor: SupervisorConfig = SupervisorConfig()
