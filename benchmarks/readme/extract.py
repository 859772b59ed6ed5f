"""The figures of `methods.json` that pages for people show, small enough to be kept with the code.

The whole document has every class, cost and setting, and lies in the folder of a run, which is not committed.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, ValidationError

from runtime.config import StrictModel
from runtime.errors import DataError

__all__ = ["DataFigures", "Figure", "Kind", "MethodFigures", "Shown", "extract_of"]

SIGNIFICANT = 0.05
# A row of the table that takes IAPC+ apart: see `benchmarks.methods.rows.plus_rows`.
PLUS_WITH_THEIR_OPTIMIZER = "optimiser as configured"
Kind = Literal["baseline", "source_free", "with_source", "oracle"]
"""Without a gradient step; without source frames; with them; with target labels."""


class Figure(StrictModel):
    """Mean and sample standard deviation over seeds; None where there are too few values."""

    mean: float | None
    spread: float | None


class Shown(StrictModel):
    """A row on one data set, mIoU in percent."""

    kind: Kind
    miou: Figure
    recovered: Figure
    """Percent of the way from the source network to the oracle."""
    values: dict[NonNegativeInt, float]
    """mIoU by seed; empty where no seed changes it."""


class DataFigures(StrictModel):
    """One data set: how long cells were, its rows by title, and what the test over seeds says of the leading row."""

    iterations: int = Field(gt=0)
    rows: dict[str, Shown]
    leader: str | None
    """Source-free row with the highest mean."""
    num_compared: NonNegativeInt
    """Rows that were tested against it."""
    num_behind: NonNegativeInt
    """Of those, how many are significantly lower: Student's t over seeds, Holm's correction, 5 %."""
    plus_with_their_optimizer: Figure | None = None
    """mIoU of IAPC+, whose preset has its own optimiser, with that of all other rows; None where it was not run."""


class MethodFigures(StrictModel):
    """A comparison of methods, as pages show it."""

    schema_version: Literal[1] = 1
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    num_cells: NonNegativeInt
    num_done: NonNegativeInt
    num_failed: NonNegativeInt
    machine: str
    oracle_iterations: NonNegativeInt | None
    """Steps of the oracle, which are not those of the methods; None where there is no oracle."""
    data: dict[str, DataFigures] = Field(min_length=1)


def extract_of(document: Mapping[str, Any]) -> MethodFigures:
    """Take what pages show out of a document of `python -m benchmarks methods`.

    Raises:
        DataError: it has no table of methods with mIoU, or is none of that command.
    """
    try:
        environment, oracle = document["environment"], document["config"]["oracle"]
        return MethodFigures(
            seeds=tuple(document["seeds"]),
            num_cells=document["cells"],
            num_done=document["done"],
            num_failed=document["failed"],
            machine=environment["gpu"] or environment["cpu"],
            oracle_iterations=None if oracle is None else oracle["iterations"],
            data={name: _data(one) for name, one in document["data"].items()},
        )
    except (KeyError, IndexError, TypeError, ValidationError) as error:
        raise DataError(
            f"the document ({type(error).__name__}: {error}) is not one that `python -m benchmarks methods` wrote with "
            "the table `methods` and a labelled test set; give that command's methods.json"
        ) from error


def _data(found: Mapping[str, Any]) -> DataFigures:
    source_free, *others = found["tables"]["methods"]
    differences = source_free["differences"]
    parts = [row for block in found["tables"].get("plus", ()) for row in block["rows"]]
    plus = next((row["summary"]["miou"] for row in parts if row["title"] == PLUS_WITH_THEIR_OPTIMIZER), None)
    tested = [one for one in differences if one["p_holm"] is not None]
    return DataFigures(
        iterations=found["iterations"],
        rows={row["title"]: _shown(row) for block in (source_free, *others) for row in block["rows"]},
        leader=differences[0]["leader"] if differences else None,
        num_compared=len(differences),
        num_behind=sum(one["p_holm"] < SIGNIFICANT and one["mean"] < 0 for one in tested),
        plus_with_their_optimizer=None if plus is None else Figure(**plus),
    )


def _shown(row: Mapping[str, Any]) -> Shown:
    return Shown(
        kind=_kind(row),
        miou=Figure(**row["summary"]["miou"]),
        recovered=Figure(**row["recovered"]),
        values={int(seed): value for seed, value in row["values"]["miou"].items()},
    )


def _kind(row: Mapping[str, Any]) -> Kind:
    if row["is_baseline"]:
        return "baseline"
    if row["is_oracle"]:
        return "oracle"
    return "with_source" if row["needs_source"] else "source_free"
