"""Which sinks: the `sinks` group of the runtime's section."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from runtime.config import StrictModel

__all__ = [
    "JsonLinesConfig",
    "NpzConfig",
    "PicturesConfig",
    "RingSinkConfig",
    "SinkConfig",
    "VideoSinkConfig",
    "place_of",
]


class _Watched(StrictModel):
    is_watched: bool = False
    """Whether results that this sink misses count against the loop's health."""


class RingSinkConfig(_Watched):
    """Shared memory that other processes read, in C or Python; see docs/embedding.md."""

    kind: Literal["ring"] = "ring"
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    num_slots: int = Field(default=4, ge=2, le=64)
    is_watched: bool = True


class PicturesConfig(_Watched):
    """NAME_labels.png and NAME_overlay.png for each result."""

    kind: Literal["pictures"] = "pictures"
    folder: Path


class VideoSinkConfig(_Watched):
    """One video of overlays, an MP4."""

    kind: Literal["video"] = "video"
    path: Path
    """Where there is one from an earlier start, this one is called NAME.2.mp4 and so on."""
    rate_hz: PositiveFloat = 10.0

    @field_validator("path")
    @classmethod
    def _mp4(cls, path: Path) -> Path:
        if path.suffix.lower() != ".mp4":
            raise ValueError(f"the video is an MP4; name it {path.with_suffix('.mp4').name}")
        return path


class NpzConfig(_Watched):
    """NAME.npz with labels, confidence, times and health for each result."""

    kind: Literal["npz"] = "npz"
    folder: Path


class JsonLinesConfig(_Watched):
    """One line of JSON a result or change of health: times, stages, health, counters and class shares, no pixels."""

    kind: Literal["jsonl"] = "jsonl"
    path: Path
    max_bytes: PositiveInt = 100_000_000
    """Where a file reaches this size it is kept as PATH.1 and a new one begun."""


SinkConfig = Annotated[
    RingSinkConfig | PicturesConfig | VideoSinkConfig | NpzConfig | JsonLinesConfig, Field(discriminator="kind")
]


def place_of(config: SinkConfig) -> str:
    """The kind and where results go, for example `npz runs/labels`."""
    place = config.model_dump(mode="json")
    return f"{config.kind} {next(place[key] for key in ('name', 'folder', 'path') if key in place)}"
