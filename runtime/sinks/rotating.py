"""A text file of whole lines that does not grow without end."""

import os
from pathlib import Path

from runtime.sinks.disk import append_whole

__all__ = ["RotatingFile"]


class RotatingFile:
    """Appends lines; where the next one would make the file too large, it is kept as PATH.1 and a new one begun.

    Each line is handed to the system at once, so that a crash of the process loses none; a power cut may lose those
    that the system had not written yet.

    Args:
        path: in an existing folder.
        max_bytes: most that the file may hold; both together hold at most twice that.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._open()

    def append(self, line: str) -> None:
        """Write a line, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        content = line.encode() + b"\n"
        if self._num_bytes and self._num_bytes + len(content) > self._max_bytes:
            self._rotate()
        if self._file.closed:
            self._open()
        append_whole(self._file, content)
        self._num_bytes += len(content)

    def close(self) -> None:
        """Close the file; may be repeated."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._num_bytes = 0

    def _open(self) -> None:
        self._file = self._path.open("a+b", buffering=0)
        self._num_bytes = self._end_of_last_line()

    def _end_of_last_line(self) -> int:
        """Size of the file, after a line that a power cut left unfinished was finished."""
        num_bytes = self._file.seek(0, os.SEEK_END)
        if num_bytes:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                num_bytes += os.write(self._file.fileno(), b"\n")
        return num_bytes
