"""A process that serves a bundle from place to place of a drive, and what was seen on it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.config import LoopConfig
from runtime.loop.loop import Loop, NamedSink
from runtime.result import Captured, Counters, Result, Status
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.config import SwapConfig
from runtime.swap.store import OpenSegmenter, Store
from runtime.swap.swapping import SwappingServed

LONGEST_S = 60.0


class Drive:
    """A source of bright noise that goes on until something happened, and a sink that keeps every result."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._rng = np.random.default_rng(1)
        self._num_frames = 0
        self._end_s = time.monotonic() + LONGEST_S
        self.has_timed_out = False
        self.results: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._reasons = Reason.NONE

    @property
    def is_finished(self) -> bool:
        self.has_timed_out = time.monotonic() > self._end_s
        return self.has_timed_out or self._is_over()

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured:
        time.sleep(0.001)
        into[...] = self._rng.integers(128, 256, into.shape, dtype=np.uint8)
        self._num_frames += 1
        return Captured(self._num_frames, time.monotonic_ns(), f"{self._num_frames}")

    def write(self, result: Result) -> None:
        self.results.append((result.bundle_id, result.frame.copy(), result.labels.copy()))
        self._reasons |= result.health.reasons

    def tell(self, status: Status) -> None:
        self._reasons |= status.health.reasons

    def close(self) -> None:
        pass

    @property
    def reasons(self) -> Reason:
        """All that were seen, but those of the start and end of every drive."""
        return self._reasons & ~(Reason.STARTING | Reason.STOPPED)


def after(num_calls: int) -> Callable[[], bool]:
    """True from the call of that number on."""
    calls = iter(range(num_calls))
    return lambda: next(calls, None) is None


def new_monitor() -> Monitor:
    """A monitor that has much patience with a busy machine."""
    return Monitor(HealthConfig(no_frames_ms=60_000, stall_ms=60_000, max_drop_ratio=1.0), time.monotonic_ns)


class Vehicle:
    """A process that serves `place`, with its state folder, as one that is started serves."""

    def __init__(self, place: Path, state: Path) -> None:
        self.place, self.state = place, state
        self.monitor = new_monitor()
        self.open_segmenter: OpenSegmenter = Segmenter.open
        self.loop_config = LoopConfig(deadline_ms=30_000)
        self.swap: dict[str, Any] = {
            "check_s": 0.01,
            "settle_s": 0.1,
            "num_shadow_frames": 5,
            "num_probation_frames": 10,
            # Frames of microseconds say nothing about speed.
            "max_slowdown": 1e6,
        }
        self.end_s = LONGEST_S
        self._served: SwappingServed | None = None

    def start(self) -> SwappingServed:
        """Open what a process would open; see `open_served`."""
        swap = SwapConfig(state=self.state, **self.swap)
        self.store = Store(swap.state, RuntimeConfig(), self.open_segmenter)
        self._served = SwappingServed(self.place, self.store, self.monitor, swap, end_s=self.end_s)
        return self._served

    def stop(self) -> None:
        """End in good order."""
        if self._served is not None:
            self._served.close()

    def restart(self) -> None:
        """End in good order, and start again."""
        self.stop()
        self.monitor = new_monitor()
        self.start()

    def drive(self, until: Callable[[], bool]) -> tuple[Drive, Counters]:
        """Run the loop until something happened."""
        drive = Drive(until)
        sinks = [NamedSink("kept", drive, is_watched=False)]
        loop = Loop(self.served, lambda: drive, sinks, self.monitor, self.loop_config)
        counters = loop.run()
        self.monitor.clear(Reason.STOPPED)
        assert not drive.has_timed_out, f"it never happened; health {self.monitor.health()}"
        return drive, counters

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that needs no frames."""
        end_s = time.monotonic() + LONGEST_S
        while not happened():
            assert time.monotonic() < end_s, f"it never happened; health {self.monitor.health()}"
            time.sleep(0.002)

    @property
    def served(self) -> SwappingServed:
        assert self._served is not None
        return self._served

    @property
    def good(self) -> str | None:
        return self.store.record.good

    def record(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state / "state.json").read_text())
        return document

    def copies(self) -> set[str]:
        return {path.name for path in self.state.iterdir() if path.is_dir()}

    @property
    def why_refused(self) -> str | None:
        health = self.monitor.health()
        return dict(zip(sorted(health.reasons), health.details, strict=True)).get(Reason.BUNDLE_REFUSED)
