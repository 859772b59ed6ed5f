"""Keeping frames: the `harvest` group of the runtime's section."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = ["HarvestConfig"]


class HarvestConfig(StrictModel):
    """A ring of frames on disk, of one process; without this group, and with `is_private`, nothing is ever written."""

    folder: Path
    max_bytes: PositiveInt = 1_000_000_000
    """Most that the folder may hold; the least valuable frame makes room for a better one."""
    every_s: PositiveFloat = 2.0
    """Least time between two frames that are looked at."""
    min_uncertainty: float = Field(default=0.0, ge=0.0, le=1.0)
    """Mean of 1 - confidence below which a frame is not worth keeping."""
    is_private: bool = False
    """Keep nothing, and delete what was kept before."""
