"""`state.json`: which bundle is good, which is on trial, and which is not tried again."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationError

from runtime.config import StrictModel
from runtime.files import write_json

__all__ = ["Record", "Refused", "Trial", "read_record", "write_record"]

BundleId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Trial(StrictModel):
    """A bundle whose trial was begun and not ended; `num_attempts` counts this one too."""

    bundle_id: BundleId
    num_attempts: PositiveInt


class Refused(StrictModel):
    """A bundle that did harm while it served, or ended the process; a restart does not make it better."""

    bundle_id: BundleId
    why: str


class Record(StrictModel):
    """What a process must know of the one before it."""

    schema_version: Literal[1] = 1
    good: BundleId | None = None
    trial: Trial | None = None
    refused: Refused | None = None


def read_record(path: Path) -> tuple[Record, str | None]:
    """The record, and what is wrong with the file; an empty one where it is missing or damaged."""
    try:
        return Record.model_validate_json(path.read_bytes()), None
    except FileNotFoundError:
        return Record(), None
    except (OSError, ValidationError) as error:
        problem = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        return Record(), f"{path} cannot be read ({problem}); which bundle was good last is not known"


def write_record(path: Path, record: Record) -> None:
    """Replace the record as a whole.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    write_json(path, record.model_dump(mode="json"))
