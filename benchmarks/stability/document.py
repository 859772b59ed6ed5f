"""`stability.json`: what several runs of `peers` say of one network, and how far they agree."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from benchmarks.environment import Environment
from runtime.bundle.manifest import Precision
from runtime.config import StrictModel

__all__ = ["Estimate", "Figure", "Run", "StabilityDocument", "StabilityRow"]


class Estimate(StrictModel):
    """What one run found, with its 95 % bootstrap interval within that run."""

    value: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat


class Figure(StrictModel):
    """One figure in every run, None where a run does not have it.

    `spread_percent` is by how much the largest value exceeds the smallest, `is_stable` whether all intervals have a
    value in common; both are None where fewer than two runs have the figure.
    """

    by_run: tuple[Estimate | None, ...]
    spread_percent: NonNegativeFloat | None
    is_stable: bool | None


class StabilityRow(StrictModel):
    """One way from a decoded frame to its label map, in every run.

    `ours_is_faster` is None in a run whose choice the row is itself. `precisions` are all that the row computed in.
    """

    name: str
    precisions: tuple[Precision, ...]
    ours_is_faster: Figure
    median_ms: Figure


class Run(StrictModel):
    """Where a document came from; `ours` is the artefact and the engine that the runtime chose there by itself."""

    document: Path
    created_unix_s: NonNegativeInt
    ours: str
    scenario: str
    num_rounds: PositiveInt
    manifest_sha256: str
    checkpoint_sha256: str
    environment: Environment


class StabilityDocument(StrictModel):
    """Runs of one network, in the order in which they were given, which is that of `by_run`.

    `ours_median_ms` is the time of what the runtime chose, whatever that was in each run. `without_score` names rows
    that no run has a score of.
    """

    schema_version: Literal[1] = 1
    created_unix_s: NonNegativeInt
    network: str
    frame_hw: tuple[PositiveInt, PositiveInt]
    network_hw: tuple[PositiveInt, PositiveInt]
    runs: tuple[Run, ...] = Field(min_length=2)
    ours_median_ms: Figure
    rows: tuple[StabilityRow, ...]
    without_score: tuple[str, ...]
