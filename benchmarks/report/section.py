"""What a section of the report is: what it is called, which command makes it, and how it is filled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report.run import Run

__all__ = ["Content", "Section"]


@dataclass(frozen=True, slots=True)
class Content:
    """What fills a section.

    `values` are for its template, `documents` are the files its figures were read from or computed of. `warnings` are
    sentences that a reader has to know first, such as that a document is of another bundle.
    """

    values: Mapping[str, Any]
    documents: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section: the template `page/sections/NAME.html` is filled with what `build` returns.

    `command` makes its documents: `make TARGET`. `build` raises `NotThereError` where
    there is nothing to show, and `DataError` where a document is damaged.
    """

    name: str
    title: str
    command: str
    build: Callable[[Run], Content]
