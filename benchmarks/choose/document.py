"""`choose.json`: what there was to choose from, and what was recommended."""

from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat

from benchmarks.environment import Environment
from runtime.config import StrictModel

__all__ = ["Candidate", "ChooseDocument"]


class Candidate(StrictModel):
    """An artefact in an engine, and whether it is on the front."""

    bundle: Path
    artefact: str
    engine: str
    precision: str
    ms: PositiveFloat
    miou: float
    is_on_front: bool


class ChooseDocument(StrictModel):
    """All candidates, fastest first; `recommended` is an index into them, None without a budget or within it.

    Environment is that of the first ladder; all were measured on the same processor with as many threads.
    """

    schema_version: Literal[1] = 1
    created_unix_s: NonNegativeInt
    percentile: str
    budget_ms: PositiveFloat | None
    candidates: tuple[Candidate, ...]
    recommended: NonNegativeInt | None
    left_out: tuple[str, ...]
    ladders: tuple[Path, ...]
    environment: Environment
    config: dict[str, Any]
