"""The `budgets` group of the `scenarios` group: what each scenario may cost, or has to reach."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from runtime.config import StrictModel

__all__ = [
    "Budgets",
    "CameraBudget",
    "ColdStartBudget",
    "ContentionBudget",
    "LatencyBudget",
    "OfflineBudget",
    "Percentile",
    "ResumeBudget",
    "SingleStreamBudget",
]

Percentile = Literal["p50", "p90", "p95", "p99", "p99.9"]


class LatencyBudget(StrictModel):
    """Greatest times in milliseconds; a percentile that the samples are too few for is not met."""

    percentiles_ms: dict[Percentile, PositiveFloat] = Field(default_factory=dict)
    max_ms: PositiveFloat | None = None


class SingleStreamBudget(LatencyBudget):
    """Of a frame to its labels."""

    frames_per_s: PositiveFloat | None = None
    """Least throughput."""


class OfflineBudget(StrictModel):
    """Of the bundle's best row."""

    frames_per_s: PositiveFloat | None = None
    """Least throughput."""


class CameraBudget(LatencyBudget):
    """Of ages in the sink, from the moment at which a frame was due."""

    missed_share: NonNegativeFloat | None = Field(default=None, le=1.0)
    """Greatest share of the camera's frames whose labels were not in the sink by their deadline."""


class ContentionBudget(StrictModel):
    """Beside a second load."""

    slowdown: PositiveFloat | None = None
    """Greatest ratio of medians, loaded over quiet, at the upper end of its interval."""


class ColdStartBudget(StrictModel):
    """From the start of a process until it serves."""

    ready_ms: PositiveFloat | None = None
    """Greatest median in milliseconds."""


class ResumeBudget(StrictModel):
    """The first frame after a pause."""

    slowdown: PositiveFloat | None = None
    """Greatest ratio of medians, first frame over frames in a run, at the upper end of its interval."""
    max_ms: PositiveFloat | None = None
    """Greatest time of any first frame in milliseconds."""


class Budgets(StrictModel):
    """Bounds by scenario; None bounds nothing. One that is not met ends the command with exit status 3."""

    single_stream: SingleStreamBudget | None = None
    offline: OfflineBudget | None = None
    camera: dict[float, CameraBudget] = Field(default_factory=dict)
    """By rate in Hz."""
    multi_camera: CameraBudget | None = None
    """Of each camera."""
    contention: ContentionBudget | None = None
    cold_start: ColdStartBudget | None = None
    resume: ResumeBudget | None = None
