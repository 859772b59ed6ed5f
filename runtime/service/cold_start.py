"""Where the time from the start of the process to its first frame goes."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from runtime.units import SECOND_NS

__all__ = ["ColdStart"]


class ColdStart:
    """The stages of one start, in order; they add up to the time since the kernel started the process."""

    def __init__(self) -> None:
        self._stages_ns: dict[str, int] = {}
        self._last_ns = _process_start_ns()

    def passed(self, stage: str, parts_ns: Mapping[str, int] | None = None) -> None:
        """A stage is over.

        Args:
            stage: its name.
            parts_ns: stages within it that were timed elsewhere, in nanoseconds; `stage` is then the rest.
        """
        now_ns = time.monotonic_ns()
        parts_ns = parts_ns or {}
        rest_ns = now_ns - self._last_ns - sum(parts_ns.values())
        self._stages_ns.update({**parts_ns, stage: rest_ns})
        self._last_ns = now_ns

    def stages_s(self) -> dict[str, float]:
        """Seconds of each stage."""
        return {stage: round(nanoseconds / SECOND_NS, 3) for stage, nanoseconds in self._stages_ns.items()}

    def summary(self) -> str:
        """All of it as one line."""
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self.stages_s().items())
        return f"{sum(self._stages_ns.values()) / SECOND_NS:.2f} s: {stages}"


def _process_start_ns() -> int:
    """When the kernel started this process, on the monotonic clock, to a hundredth of a second; see proc(5)."""
    # The command's name, in brackets, may hold spaces; field 22 counts from the process's number.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    since_boot_ns = int(fields[19]) * SECOND_NS // os.sysconf("SC_CLK_TCK")
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - since_boot_ns
    return time.monotonic_ns() - age_ns
