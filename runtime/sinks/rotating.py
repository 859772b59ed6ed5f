"""A text file of whole lines that does not grow without end."""

import os
from pathlib import Path

from runtime.sinks.disk import append_whole, open_alone

__all__ = ["RotatingFile"]


class RotatingFile:
    """Appends lines; where the next one would make the file too large, it is kept as PATH.1 and a new one begun.

    Each line is handed to the system at once, so that a crash of the process loses none; a power cut may lose those
    that the system had not written yet. No other process can open the file meanwhile: both would rotate it, and lose
    each other's lines.

    Args:
        path: in an existing folder.
        max_bytes: most that the file may hold; both together hold at most twice that.

    Raises:
        SinkError: another process writes it.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._is_cut = False
        self._open()

    def append(self, line: str) -> None:
        """Write a line, whole or not at all.

        Raises:
            SinkError: another process took it when it was begun anew.
            OSError: it cannot be written.
        """
        content = line.encode() + b"\n"
        if self._num_bytes and self._num_bytes + len(content) > self._max_bytes:
            self._rotate()
        if self._file.closed:
            self._open()
        if self._is_cut:
            content = b"\n" + content
        append_whole(self._file, content)
        self._num_bytes += len(content)
        self._is_cut = False

    def close(self) -> None:
        """Close the file; may be repeated."""
        self._file.close()

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file.close()
        self._num_bytes = 0

    def _open(self) -> None:
        self._file = open_alone(self._path)
        self._num_bytes = self._file.seek(0, os.SEEK_END)
        self._is_cut = self._has_unfinished_line()

    def _has_unfinished_line(self) -> bool:
        """Whether a power cut left one; the next line ends it, because on a full disk this one could not be opened."""
        if self._num_bytes == 0:
            return False
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) != b"\n"
