"""The few figures of `methods.json` that README.md shows, small enough to be kept with the code.

The whole document has every class, cost and setting, and lies in the folder of a run, which is not committed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, ValidationError

from runtime.config import StrictModel
from runtime.errors import DataError

__all__ = ["DataFigures", "Figure", "MethodFigures", "Shown", "extract_of", "read_extract"]

SIGNIFICANT = 0.05
ORACLE, IAPC, PLUS = "oracle", "IAPC (as configured)", "IAPC+"
ALWAYS = ("source only", "BN as chosen", "balanced", "TENT", IAPC, PLUS, ORACLE)
"""Rows that are shown whatever they reach; the best of the others on each data set stand between TENT and IAPC."""


class Figure(StrictModel):
    """Mean and sample standard deviation over seeds; None where there are too few values."""

    mean: float | None
    spread: float | None


class Shown(StrictModel):
    """A row on one data set. `recovered` is percent of the way from the source network to the oracle."""

    miou: Figure
    recovered: Figure
    seeds: tuple[NonNegativeInt, ...]
    """Those that have a value; empty where no seed changes it."""


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


class MethodFigures(StrictModel):
    """What README.md shows; `titles` are its rows, in order."""

    schema_version: Literal[1] = 1
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    num_cells: NonNegativeInt
    num_done: NonNegativeInt
    num_failed: NonNegativeInt
    machine: str
    oracle_iterations: NonNegativeInt | None
    """Steps of the oracle, which are not those of the methods; None where there is no oracle."""
    titles: tuple[str, ...]
    data: dict[str, DataFigures] = Field(min_length=1)


def extract_of(document: Mapping[str, Any]) -> MethodFigures:
    """Take what README.md shows out of a document of `python -m benchmarks methods`.

    Raises:
        DataError: it has no table of methods with mIoU, or is none of that command.
    """
    try:
        blocks = {name: one["tables"]["methods"][0] for name, one in document["data"].items()}
        shown = _titles([block["rows"] for block in blocks.values()])
        environment, oracle = document["environment"], document["config"]["oracle"]
        return MethodFigures(
            seeds=tuple(document["seeds"]),
            num_cells=document["cells"],
            num_done=document["done"],
            num_failed=document["failed"],
            machine=environment["gpu"] or environment["cpu"],
            oracle_iterations=None if oracle is None else oracle["iterations"],
            titles=shown,
            data={name: _data(document["data"][name]["iterations"], block, shown) for name, block in blocks.items()},
        )
    except (KeyError, IndexError, TypeError, ValidationError) as error:
        raise DataError(
            f"the document ({type(error).__name__}: {error}) is not one that `python -m benchmarks methods` wrote with "
            "the table `methods` and a labelled test set; give that command's methods.json"
        ) from error


def read_extract(path: Path) -> MethodFigures:
    """Read the figures of README.md.

    Raises:
        DataError: the file is not there, or not one that `extract_of` made.
    """
    try:
        return MethodFigures.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} does not hold the figures of README.md ({error}); write it again with "
            "`python -m benchmarks readme --methods runs/methods/methods.json`"
        ) from error


def _data(iterations: int, block: Mapping[str, Any], shown: Sequence[str]) -> DataFigures:
    rows = {row["title"]: row for row in block["rows"]}
    tested = [one for one in block["differences"] if one["p_holm"] is not None]
    return DataFigures(
        iterations=iterations,
        rows={title: _shown(rows[title]) for title in shown if title in rows},
        leader=block["differences"][0]["leader"] if block["differences"] else None,
        num_compared=len(block["differences"]),
        num_behind=sum(one["p_holm"] < SIGNIFICANT and one["mean"] < 0 for one in tested),
    )


def _shown(row: Mapping[str, Any]) -> Shown:
    return Shown(
        miou=Figure(**row["summary"]["miou"]),
        recovered=Figure(**row["recovered"]),
        seeds=tuple(sorted(map(int, row["values"]["miou"]))),
    )


def _titles(blocks: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[str, ...]:
    """The rows that are always shown, and the best of the others of each data set, which no one picks by hand."""
    best = [title for rows in blocks if (title := _best_other(rows)) is not None]
    first, last = ALWAYS[: ALWAYS.index(IAPC)], ALWAYS[ALWAYS.index(IAPC) :]
    there = {row["title"] for rows in blocks for row in rows}
    return tuple(title for title in dict.fromkeys((*first, *best, *last)) if title in there)


def _best_other(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Of the methods that take gradient steps without source frames and target labels."""
    others = [
        row
        for row in rows
        if not (row["is_baseline"] or row["is_oracle"] or row["needs_source"] or row["title"] in ALWAYS)
        and row["summary"]["miou"]["mean"] is not None
    ]
    return max(others, key=lambda row: float(row["summary"]["miou"]["mean"]))["title"] if others else None
