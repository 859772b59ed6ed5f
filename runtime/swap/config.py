"""Taking another bundle without stopping: the `swap` group of the runtime's section."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = ["SwapConfig"]


class SwapConfig(StrictModel):
    """How a new bundle proves itself before and after it takes over."""

    state: Path
    """Folder in which the last good bundle is kept across a power cut."""
    check_s: PositiveFloat = 1.0
    """How often the bundle's folder is looked at."""
    num_shadow_frames: PositiveInt = 30
    """Frames that the new bundle segments beside the old one."""
    min_agreement: float = Field(default=0.6, ge=0.0, le=1.0)
    """Least share of pixels on which both agree: a better network differs, a broken one differs everywhere."""
    max_slowdown: PositiveFloat = 1.5
    """Most that a frame may take, as a multiple of the old one's time."""
    num_probation_frames: PositiveInt = 100
    """Frames after the swap in which a fault of the new bundle brings the old one back."""
