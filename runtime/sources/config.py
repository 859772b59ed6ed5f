"""Which source: the `source` group of the runtime's section."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

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
    """A video file or a stream that PyAV opens, such as rtsp://...; a file is played like a camera."""

    kind: Literal["video"] = "video"
    path: str
    rate_hz: PositiveFloat | None = None
    """Frames a second; None takes the file's own rate."""
    is_repeated: bool = False
    """Start again after the last frame, without end."""


class CameraConfig(StrictModel):
    """A V4L2 camera, by its device, for example /dev/video0."""

    kind: Literal["camera"] = "camera"
    device: str
    rate_hz: PositiveFloat = 30.0
    pixel_format: str = "mjpeg"
    """What the camera is asked for, by FFmpeg's name, for example mjpeg or yuyv422."""


class RingSourceConfig(StrictModel):
    """Frames that another process writes into shared memory; see docs/embedding.md."""

    kind: Literal["ring"] = "ring"
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")


SourceConfig = Annotated[FolderConfig | VideoConfig | CameraConfig | RingSourceConfig, Field(discriminator="kind")]
