"""Notices that the machine slows itself down: hot processors, lowered clocks, and the same of NVIDIA GPUs."""

from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from runtime.health.config import HealthConfig
from runtime.health.gpu_clocks import open_gpu_clocks, unseen_gpus
from runtime.health.monitor import Monitor
from runtime.health.processor_clocks import Probe, open_processor_clocks
from runtime.health.reasons import Reason

__all__ = ["Throttling"]

SYS = Path("/sys")


class Throttling:
    """Looks every `throttle_check_s` while the `with` block lasts, on a thread of its own.

    Args:
        monitor: gets the reason THROTTLED, and loses it when the machine is itself again.
        config: how often.
        root: where sysfs is.

    Attributes:
        sources: what can be read here, and what cannot, in words.
    """

    def __init__(self, monitor: Monitor, config: HealthConfig, *, root: Path = SYS) -> None:
        self._monitor, self._every_s = monitor, config.throttle_check_s
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="throttling", daemon=True)
        self._probes: dict[str, Probe] = {**open_processor_clocks(root), **open_gpu_clocks()}
        seen = ", ".join(self._probes) or "cannot be seen: this system tells neither clocks nor temperatures"
        self.sources = "; ".join(filter(None, (seen, unseen_gpus())))

    def check(self) -> None:
        """Look once."""
        problems = [problem for probe in self._probes.values() if (problem := probe()) is not None]
        if problems:
            self._monitor.set(Reason.THROTTLED, "; ".join(problems))
        else:
            self._monitor.clear(Reason.THROTTLED)

    def __enter__(self) -> Self:
        """Start looking."""
        if self._probes:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._probes:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(self._every_s):
            self.check()
