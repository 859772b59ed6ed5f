"""Which source: the `source` group of the runtime's section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from runtime.config import StrictModel

__all__ = ["CameraConfig", "FolderConfig", "RingSourceConfig", "SourceConfig", "VideoConfig"]


class FolderConfig(StrictModel):
    """A folder of images, played like a camera."""

    kind: Literal["folder"] = "folder"
    path: Path
    rate_hz: PositiveFloat = 10.0
    """Frames a second; each counts as captured at the moment it was due."""
    is_repeated: bool = False
    """Start again after the last frame, without end."""


class VideoConfig(StrictModel):
    """A video file, played like a camera, or a stream such as rtsp://..., taken as it comes; both through PyAV."""

    kind: Literal["video"] = "video"
    path: str
    rate_hz: PositiveFloat | None = None
    """Frames a second of a file; None takes the file's own rate."""
    is_repeated: bool = False
    """Start a file again after the last frame, without end."""
    timeout_s: PositiveFloat = 5.0
    """Longest time without data of a stream, after which it is lost and opened again. A stop can take as long, so that
    this must be less than `loop.stop_ms`."""
    options: Mapping[str, str] = Field(default_factory=dict)
    """FFmpeg's options for a stream, by name, for example {rtsp_transport: udp}."""

    @property
    def is_stream(self) -> bool:
        """Whether the path is an address."""
        return "://" in self.path

    @property
    def file(self) -> Path:
        """The path of a file."""
        return Path(self.path)

    @model_validator(mode="after")
    def _stream_or_file(self) -> "VideoConfig":
        if self.is_stream and (self.rate_hz is not None or self.is_repeated):
            raise ValueError("rate_hz and is_repeated are for files; a stream comes as it comes")
        if not self.is_stream and self.options:
            raise ValueError("options are for streams, such as rtsp://...")
        return self


class CameraConfig(StrictModel):
    """A V4L2 camera, by its device, for example /dev/video0."""

    kind: Literal["camera"] = "camera"
    device: str
    rate_hz: PositiveFloat = 30.0
    pixel_format: str = "mjpeg"
    """What the camera is asked for, by FFmpeg's name, for example mjpeg or yuyv422; not one that is coded over time."""
    timeout_s: PositiveFloat = 5.0
    """Longest time without a frame, after which the camera is lost and opened again."""

    @model_validator(mode="after")
    def _waits_for_a_frame(self) -> "CameraConfig":
        if self.timeout_s * self.rate_hz <= 1:
            raise ValueError(
                f"timeout_s={self.timeout_s:g} is over before a frame is due at rate_hz={self.rate_hz:g}; give it more "
                f"than {1 / self.rate_hz:g}"
            )
        return self


class RingSourceConfig(StrictModel):
    """Frames that another process writes into shared memory; see docs/embedding.md."""

    kind: Literal["ring"] = "ring"
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")


SourceConfig = Annotated[FolderConfig | VideoConfig | CameraConfig | RingSourceConfig, Field(discriminator="kind")]
