"""`choose.json`: what there was to choose from, and what was recommended."""

from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from benchmarks.environment import Environment
from runtime.config import StrictModel

__all__ = ["Candidate", "ChooseDocument", "LadderFile"]


class LadderFile(StrictModel):
    """A ladder as it was when it was read."""

    path: Path
    sha256: str


class Candidate(StrictModel):
    """An artefact in an engine, and whether it is on the front.

    `lead` is by how many points of mIoU the most accurate within the budget is ahead of it, with the 95 % interval of
    `miou_lead`; None where this one is not on the front, or beyond the budget. There is no interval where the labelled
    frames are too few.
    """

    bundle: Path
    artefact: str
    engine: str
    precision: str
    ms: PositiveFloat
    miou: float
    is_on_front: bool
    lead: float | None = None
    lead_interval: tuple[float, float] | None = None


class ChooseDocument(StrictModel):
    """All candidates, fastest first; `recommended` and `most_accurate` are indices into them.

    Both are within the budget, and None without a budget or where nothing is within it. `max_loss` is how many points
    the recommended may have lost at the upper end of its `lead_interval`.

    Environment is that of the first ladder; all were measured on the same processor with as many threads.
    """

    schema_version: Literal[2] = 2
    created_unix_s: NonNegativeInt
    percentile: str
    budget_ms: PositiveFloat | None
    max_loss: NonNegativeFloat
    candidates: tuple[Candidate, ...]
    recommended: NonNegativeInt | None
    most_accurate: NonNegativeInt | None = None
    left_out: tuple[str, ...]
    ladders: tuple[LadderFile, ...]
    environment: Environment
    config: dict[str, Any]

    @property
    def front(self) -> list[Candidate]:
        """The candidates that no other beats, fastest first."""
        return [candidate for candidate in self.candidates if candidate.is_on_front]
