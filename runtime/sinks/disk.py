"""Writes to a disk that may be full, and what one that failed means to the loop."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from runtime.errors import DiskFullError, SinkError

__all__ = ["append_whole", "writing_to"]


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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"{folder} is full ({reason}); delete or move old files there, or choose another folder"
            ) from error
        raise SinkError(f"{folder} cannot be written ({reason}); check that it is there and may be written") from error


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
