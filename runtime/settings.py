"""Settings of `python -m runtime`: the `runtime` section of a run file."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from runtime.backends.config import AnyBackendConfig, CpuConfig
from runtime.config import StrictModel
from runtime.drift.config import DriftConfig
from runtime.harvest.config import HarvestConfig
from runtime.health.config import HealthConfig
from runtime.live.config import LiveConfig
from runtime.loop.config import LoopConfig
from runtime.sinks.config import PicturesConfig, SinkConfig, place_of
from runtime.sources.config import FolderConfig, SourceConfig, VideoConfig
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

    @field_validator("sinks")
    @classmethod
    def _one_sink_a_place(cls, sinks: tuple[SinkConfig, ...]) -> tuple[SinkConfig, ...]:
        places = [place_of(sink) for sink in sinks]
        twice = [place for place in places if places.count(place) > 1]
        if twice:
            raise ValueError(f"two sinks write to {twice[0]}; give each a place of its own")
        return sinks

    @model_validator(mode="after")
    def _can_stop_in_time(self) -> "RuntimeConfig":
        loop_s, supervisor_s = self.loop.stop_ms / 1e3, self.supervisor.stop_s
        if loop_s >= supervisor_s:
            raise ValueError(
                f"loop.stop_ms={self.loop.stop_ms} is no less than supervisor.stop_s={supervisor_s:g}, after which the "
                "loop's process is killed; lower the one or raise the other"
            )
        # Waiting for data of the network cannot be interrupted.
        if isinstance(self.source, VideoConfig) and self.source.is_stream and self.source.timeout_s >= loop_s:
            raise ValueError(
                f"source.timeout_s={self.source.timeout_s:g} is no less than loop.stop_ms={self.loop.stop_ms}: a stop "
                "would fail where the stream gives nothing; lower the one, or raise the other, which "
                f"supervisor.stop_s={supervisor_s:g} has to exceed"
            )
        return self

    @model_validator(mode="after")
    def _reads_no_picture_of_its_own(self) -> "RuntimeConfig":
        if isinstance(self.source, FolderConfig):
            source = self.source.path.resolve()
            written = [sink.folder for sink in self.sinks if isinstance(sink, PicturesConfig)]
            if self.harvest is not None:
                written.append(self.harvest.folder)
            inside = [folder for folder in written if folder.resolve().is_relative_to(source)]
            if inside:
                raise ValueError(f"{inside[0]} lies inside the source; a second run would read its own pictures")
        return self
