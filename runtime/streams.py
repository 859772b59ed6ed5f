"""The standard streams of a process that may outlive its terminal, its log, or whoever read its pipe."""

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["let_go_of_broken_streams", "open_missing_streams"]

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_missing_streams() -> None:
    """Open those that were closed at the start, onto nothing.

    Their numbers would else go to the next files that are opened, into which engines would then write their messages.
    """
    for name, mode in MODES.items():
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open until the end of the process


def let_go_of_broken_streams() -> None:
    """Drop what cannot be written any more; the interpreter would else end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # One that stands for no file of the system cannot hold up the end either.
            with suppress(OSError):
                _lead_to_nothing(stream.fileno())


def _lead_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)
