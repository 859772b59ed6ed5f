"""Committed figures, and documents of commands that are small enough to be committed whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from runtime.errors import DataError

__all__ = ["document_of", "read_figures"]

Figures = TypeVar("Figures", bound=BaseModel)


def read_figures(path: Path, model: type[Figures], name: str) -> Figures:
    """Read a file that `readme` wrote.

    Args:
        path: the file.
        model: what it holds.
        name: of the option that takes new figures.

    Raises:
        DataError: the file is not there, or not what it should be.
    """
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} does not hold the figures of the pages ({error}); write it again with `python -m benchmarks "
            f"readme --{name} DOCUMENT`"
        ) from error


def document_of(document: Mapping[str, Any], model: type[Figures], command: str, file: str) -> Figures:
    """A command's document, every sample included.

    Args:
        document: what was read.
        model: of that command's documents.
        command: named in the error.
        file: that the command writes, for the error.

    Raises:
        DataError: it is none of that command.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise DataError(
            f"the document ({error.errors()[0]['msg']}) is not one that `python -m benchmarks {command}` wrote; give "
            f"that command's {file}"
        ) from error
