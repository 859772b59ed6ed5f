"""Taking another bundle without stopping: the `swap` group of the runtime's section."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = ["SwapConfig"]


class SwapConfig(StrictModel):
    """How a new bundle proves itself before and after it takes over."""

    state: Path
    """Folder in which the last good bundle is kept across a power cut, and a copy of the one on trial: it needs room
    for two, and belongs to one process."""
    check_s: PositiveFloat = 1.0
    """How often the bundle's folder is looked at."""
    settle_s: PositiveFloat = 30.0
    """How long that folder may hold no whole bundle, because one is being copied, before that is told."""
    num_shadow_frames: PositiveInt = 30
    """Frames that the new bundle segments beside the old one."""
    min_agreement: float = Field(default=0.6, ge=0.0, le=1.0)
    """Least share of pixels on which both agree: a better network differs, a broken one differs everywhere."""
    max_slowdown: PositiveFloat = 1.5
    """Most that a frame may take, as a multiple of the old one's time."""
    num_probation_frames: PositiveInt = 100
    """Frames after the swap in which a fault of the new bundle brings the old one back."""
    max_attempts: PositiveInt = 3
    """Trials of one bundle that may end with the end of the process, by a crash or a power cut."""
