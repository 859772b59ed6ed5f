"""Where the time from the start of the process to its first frame goes."""

import os
import time
from contextvars import ContextVar
from pathlib import Path

__all__ = ["ColdStart", "passed"]

NANOSECOND = 1_000_000_000


class ColdStart:
    """Times each stage of one start; stages passed in functions below are heard through `passed`."""

    def __init__(self) -> None:
        self._stages_ns: dict[str, int] = {}
        self._last_ns = _process_start_ns()
        _CURRENT.set(self)

    def passed(self, stage: str) -> None:
        """A stage is over; one that comes twice, as when a second bundle is opened, adds up."""
        now_ns = time.monotonic_ns()
        self._stages_ns[stage] = self._stages_ns.get(stage, 0) + now_ns - self._last_ns
        self._last_ns = now_ns

    def stages_s(self) -> dict[str, float]:
        """Seconds of each stage, in order; they add up to the time since the process was started."""
        return {stage: round(nanoseconds / NANOSECOND, 3) for stage, nanoseconds in self._stages_ns.items()}

    def summary(self) -> str:
        """The stages as one line."""
        stages_s = self.stages_s()
        return f"{sum(stages_s.values()):.2f} s: " + ", ".join(f"{stage} {s:.2f}" for stage, s in stages_s.items())


_CURRENT: ContextVar[ColdStart | None] = ContextVar("cold_start", default=None)


def passed(stage: str) -> None:
    """A stage of opening something is over; heard where a cold start is timed, else by nobody."""
    current = _CURRENT.get()
    if current is not None:
        current.passed(stage)


def _process_start_ns() -> int:
    """When the kernel started this process, on the monotonic clock, to a hundredth of a second; see proc(5)."""
    # The command's name, in brackets, may hold spaces; field 22 counts from the process's number.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    since_boot_ns = int(fields[19]) * NANOSECOND // os.sysconf("SC_CLK_TCK")
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - since_boot_ns
    return time.monotonic_ns() - age_ns
