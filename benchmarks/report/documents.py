"""Reading what other commands wrote, and saying which file a figure is from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runtime.errors import DataError
from runtime.files import sha256_of

__all__ = ["Mark", "date_text", "mark_of", "read_document"]

Document = TypeVar("Document")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which file it was: `written` is when it was last written."""

    path: str
    sha256: str
    written: str


def mark_of(path: Path) -> Mark:
    """Path, hash and date of a file."""
    return Mark(str(path), sha256_of(path), date_text(path.stat().st_mtime))


def date_text(unix_s: float) -> str:
    """A date to the minute, in UTC."""
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def read_document(path: Path, model: type[Document] | Any, command: str) -> Document:
    """A JSON document as its model.

    Args:
        path: the file, which is there.
        model: the pydantic model, or another type that pydantic checks.
        command: what makes it again, for the message.

    Raises:
        DataError: it cannot be read, is damaged or of another version.
    """
    try:
        found: Document = TypeAdapter(model).validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); correct its permissions") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path} is damaged or of another version at {key or 'its start'}: {problem['msg']}; delete it and run "
            f"`{command}` again"
        ) from error
    return found
