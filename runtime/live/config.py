"""The live view: the `live` group of the runtime's section."""

from pydantic import Field, PositiveInt

from runtime.config import StrictModel

__all__ = ["LiveConfig"]


class LiveConfig(StrictModel):
    """A page for a browser, and metrics for Prometheus, over HTTP."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to serve on; anything but this machine shows the camera to whoever can reach it."""
    port: int = Field(default=8090, ge=0, le=65535)
    """0 takes a free one, which is told at start."""
    max_picture_side: PositiveInt = 1280
    """Pictures of larger frames are scaled down by a whole number, until no side is longer than this."""
