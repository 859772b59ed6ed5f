"""The `choose` group of the `benchmarks` section."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from runtime.config import StrictModel

__all__ = ["ChooseConfig"]


class ChooseConfig(StrictModel):
    """What to choose from, and for how much time."""

    ladders: tuple[Path, ...] | None = Field(default=None, min_length=1)
    """Documents of `ladder`, one for each bundle; None takes every `ladder.json` in a folder of `runs`."""
    budget_ms: PositiveFloat | None = None
    """Milliseconds from a decoded frame to its labels; None draws the front and recommends nothing."""
    max_loss: NonNegativeFloat = 0.3
    """Points of mIoU that may be lost for time: by the upper end of the interval of what the most accurate leads by."""
    percentile: Literal["p50", "p90", "p95", "p99", "p99.9"] = "p90"
    """Which of the measured times has to be within the budget."""
