"""`adaptation.json`: what one run of `adapt` measured, every step included."""

from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.environment import Environment
from runtime.config import StrictModel

__all__ = ["AdaptationDocument", "LoadingRate", "MeasuredStep"]


class MeasuredStep(StrictModel):
    """One contender.

    `seconds` holds every timed step, `parts_s` the parts of one further step under torch's profiler, `peak_bytes`
    the largest memory of its process (of the device on a GPU), `resident_before_bytes` the same when its networks
    stood ready, before the first step.
    """

    name: str
    precision: str
    seconds: tuple[float, ...]
    images_per_s: float
    """Of the median step."""
    peak_bytes: PositiveInt
    resident_before_bytes: PositiveInt
    parts_s: dict[str, float]
    loss_difference: float
    """Largest relative difference of any loss term of the first step, on equal weights, from the plain step's."""


class LoadingRate(StrictModel):
    """Crops per second of the data loader alone."""

    workers: NonNegativeInt
    images_per_s: float


class AdaptationDocument(StrictModel):
    """The plain step first, then ours by precision. Speed is the ratio of median images/s, memory that of peaks."""

    schema_version: Literal[1] = 1
    created_unix_s: NonNegativeInt
    contenders: tuple[MeasuredStep, ...]
    speedup_vs_plain: dict[str, float]
    memory_vs_plain: dict[str, float]
    loading: tuple[LoadingRate, ...]
    environment: Environment
    config: dict[str, Any]
