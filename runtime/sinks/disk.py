"""Writes to a disk that may be full, and what one that failed means to the loop."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from runtime.errors import DiskFullError, SinkError
from runtime.files import FULL

__all__ = ["append_whole", "open_alone", "writing_to"]


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into what a sink raises.

    Args:
        folder: where the block writes.

    Raises:
        DiskFullError: no space left, or no more quota.
        SinkError: any other reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in FULL:
            raise DiskFullError(
                f"{folder} is full ({reason}); delete or move old files there, or choose another folder"
            ) from error
        raise SinkError(f"{folder} cannot be written ({reason}); check that it is there and may be written") from error


def open_alone(path: Path) -> FileIO:
    """Open a file for reading and appending, unbuffered, so that nobody else gets it this way until it is closed.

    However a process ends, its files are closed by the system.

    Raises:
        SinkError: another process has it, or another sink of this one.
        OSError: it cannot be opened.
    """
    file = path.open("a+b", buffering=0)
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            raise SinkError(f"{path} is being written by another process; stop that, or name another file") from error
        raise
    return file


def append_whole(file: FileIO, content: bytes, *, is_synced: bool = False) -> None:
    """Write at the end of a file that is open for appending, whole or not at all.

    Args:
        file: unbuffered.
        content: what to write.
        is_synced: be sure that it is on the disk.

    Raises:
        OSError: it cannot be written; the file is as before.
    """
    num_before = os.fstat(file.fileno()).st_size
    num_written = 0
    try:
        while num_written < len(content):
            num_written += os.write(file.fileno(), content[num_written:])
        if is_synced:
            os.fsync(file.fileno())
    except OSError:
        if num_written:
            file.truncate(num_before)
        raise
