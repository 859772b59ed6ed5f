"""Settings of `python -m runtime`: the `runtime` section of a run file."""

from pathlib import Path

from pydantic import Field

from runtime.backends.config import AnyBackendConfig, CpuConfig
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

__all__ = ["RuntimeConfig"]


class RuntimeConfig(StrictModel):
    """How a bundle is opened, and how `python -m runtime serve` runs it."""

    backend: AnyBackendConfig = CpuConfig()
    artefact: str | None = None
    """File of the bundle to serve; None takes the one in float32, or, with `provider: auto`, the fastest."""
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
