"""Saying which file a figure is from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runtime.files import sha256_of

__all__ = ["Mark", "date_text", "mark_of"]


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
