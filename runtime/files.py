"""Files that are whole or absent, written beside their place, then renamed; and folders that one process has alone."""

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import ConfigError, DiskFullError, IapcError

__all__ = ["FULL", "claimed", "replacing", "sha256_of", "writable_file", "writable_folder", "write_json", "write_text"]

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors by which the system says that there is no space left, or no more quota."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write; rename it to `path` when the block ends well, delete it otherwise.

    The data is on disk before the rename, so that a power cut leaves the old file or the new one.
    The temporary name keeps the suffix, because image writers choose a format by it.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document; NaN is refused, because it is not JSON."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def writable_file(path: Path) -> Path:
    """Create the folder of a file where needed, and prove that it can be written.

    Raises:
        ConfigError: the folder cannot be created or written, or the path is a folder itself.
        DiskFullError: there is no room for it.
    """
    if path.is_dir():
        raise ConfigError(f"output file {path} is a folder; name a file in it")
    writable_folder(path.parent)
    return path


def writable_folder(folder: Path) -> Path:
    """Create `folder` where needed and prove that it can be written, before hours are spent on what goes there.

    Raises:
        ConfigError: the folder cannot be created or written.
        DiskFullError: there is no room for it; someone may make some, and the setting is none the worse.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(
                f"the disk of output folder {folder} is full ({error.strerror}); delete or move old files there, or "
                "choose another folder"
            ) from error
        raise ConfigError(f"output folder {folder} cannot be written ({error.strerror}); choose another") from error
    return folder


@contextmanager
def claimed(folder: Path, taken: str) -> Iterator[None]:
    """Within the block no other process that claims the folder gets it; the system gives it back however one ends.

    Raises:
        IapcError: with the message `taken`: another process has it; it may be about to end.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IapcError(taken) from error
        yield
    finally:
        os.close(handle)
