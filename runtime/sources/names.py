"""What frames of a camera are called in files: where they came from, and when, by the wall clock."""

import re
from datetime import UTC, datetime

from runtime.units import SECOND_NS

__all__ = ["frame_name", "without_password"]


def frame_name(stem: str, captured_ns: int, now_ns: int) -> str:
    """A name that sorts by time and does not come again after a restart.

    Args:
        stem: the camera; what no file name should hold is replaced.
        captured_ns: moment of capture on the monotonic clock.
        now_ns: the monotonic clock now.
    """
    captured = datetime.fromtimestamp(datetime.now(UTC).timestamp() - (now_ns - captured_ns) / SECOND_NS, UTC)
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", stem).strip("_.")
    return f"{safe or 'frame'}_{captured:%Y%m%dT%H%M%S_%f}Z"


def without_password(address: str) -> str:
    """An address as messages and file names may show it."""
    return re.sub(r"(?<=//)[^/\s]*@", "", address)
