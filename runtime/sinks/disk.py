"""What a failed write means to the loop."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import DiskFullError, SinkError

__all__ = ["writing_to"]


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
