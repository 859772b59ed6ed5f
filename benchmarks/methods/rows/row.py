"""A row of a table: a title and the settings it changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ALL", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `changes` are dotted keys below `adaptation` with their values."""

    title: str
    changes: Mapping[str, Any]
    published: float | None = None
    setting: tuple[str, float] | None = None
    """Name and value of the one weight that is varied, where the row is a point of a curve."""
    note: str = ""
    """What a reader has to know of it: a reading of the paper, or where it differs; shown below its table."""


# The method as configured, which stands in every table; published is IAPC's.
ALL = Row("all", {}, published=49.4)
