"""The exact commands that make each part of the report again."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from runtime.config import SECTIONS

__all__ = ["command_line"]


def command_line(start: str, run_file: Path, overrides: Sequence[str]) -> str:
    """A command of this project on a run file, for a shell.

    Args:
        start: `make TARGET`.
        run_file: the run.
        overrides: `--set` values of this call; they are named after their stage, so that no other takes them for its
            own.
    """
    settings = " ".join(f"--set {shlex.quote(_for_this_stage(override))}" for override in overrides)
    return f"{start} CONFIG={shlex.quote(str(run_file))}" + (f" SET={shlex.quote(settings)}" if settings else "")


def _for_this_stage(override: str) -> str:
    return override if override.partition(".")[0] in SECTIONS else f"benchmarks.{override}"
