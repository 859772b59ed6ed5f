"""What lies at the bundle's path now, and whether it is worth another look."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

__all__ = ["Sighting", "Watch", "look"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A folder as it was at one moment; two are equal while nothing in it was written, renamed or replaced.

    `folder` is where the path led, links followed. `files` holds name, device, inode, size and time of change of each
    file: the system sets that time itself, also where a copy keeps the time of modification.
    """

    folder: Path
    files: tuple[tuple[str, int, int, int, int], ...]


def look(bundle: Path) -> Sighting:
    """See what is at a path; a folder that is missing or just being moved has no files."""
    folder = Path(os.path.realpath(bundle))
    try:
        with os.scandir(folder) as entries:
            files = tuple(sorted((entry.name, *_identity(entry)) for entry in entries))
    except OSError:
        files = ()
    return Sighting(folder, files)


class Watch:
    """Decides when to read the bundle's folder, which costs more than to see whether it changed.

    Args:
        bundle: the path, a folder or a link to one.
        settle_s: how long there may be no whole bundle.
        now_s: a monotonic clock.
    """

    def __init__(self, bundle: Path, settle_s: float, now_s: Callable[[], float] = monotonic) -> None:
        self._bundle, self._settle_s, self._now_s = bundle, settle_s, now_s
        self._judged: Sighting | None = None
        self._tried: Sighting | None = None
        self._in_vain_since_s: float | None = None

    def news(self) -> Sighting | None:
        """What is there, if it was not judged yet and may have become a bundle since it was last tried."""
        sighting = look(self._bundle)
        if sighting == self._judged or (sighting == self._tried and not self._is_overdue()):
            return None
        self._tried = sighting
        return sighting

    def judge(self, sighting: Sighting) -> None:
        """It needs no other look until it changes."""
        self._judged, self._in_vain_since_s = sighting, None

    def in_vain(self, sighting: Sighting) -> bool:
        """It is no whole bundle; whether it has been so for too long, and counts as judged."""
        if self._in_vain_since_s is None:
            self._in_vain_since_s = self._now_s()
        if not self._is_overdue():
            return False
        self.judge(sighting)
        return True

    def _is_overdue(self) -> bool:
        since_s = self._in_vain_since_s
        return since_s is not None and self._now_s() - since_s >= self._settle_s


def _identity(entry: os.DirEntry[str]) -> tuple[int, int, int, int]:
    status = entry.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns
