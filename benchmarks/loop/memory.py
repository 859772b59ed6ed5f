"""Whether a loop that runs for long asks for more memory."""

import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.contenders import Frame
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.loop.document import Memory
from benchmarks.loop.overhead import engine_ns
from benchmarks.loop.run import run_loop
from runtime.result import Result, Status
from runtime.segmenter import Segmenter
from runtime.swap.served import Served

__all__ = ["measure_memory", "resident_bytes"]

EVERY = 500
NUM_WARM = 1000


def resident_bytes() -> int:
    """Memory of this process that lies in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_memory(segmenter: Segmenter, frames: Sequence[Frame], config: LoopBenchmarkConfig) -> Memory:
    """Run the loop over `config.memory_frames` frames, traced, and compare memory after the first with the last."""
    period_ns = int(engine_ns(segmenter, frames) / config.load)
    watch = _Watch(config.memory_frames // EVERY + 1)
    tracemalloc.start()
    try:
        run_loop(Served(lambda: segmenter), frames, period_ns, NUM_WARM + config.memory_frames, watch, deadline_ms=1000)
    finally:
        tracemalloc.stop()
    traced, resident = watch.samples[: watch.num_samples].T
    return Memory(
        num_frames=watch.num_results,
        traced_first_bytes=int(traced[0]),
        traced_last_bytes=int(traced[-1]),
        traced_slope_bytes=_slope(traced),
        resident_first_bytes=int(resident[0]),
        resident_last_bytes=int(resident[-1]),
        resident_slope_bytes=_slope(resident),
    )


class _Watch:
    """A sink that looks at memory every `EVERY` results, after the first `NUM_WARM`."""

    def __init__(self, capacity: int) -> None:
        self.samples = np.zeros((capacity + 1, 2), dtype=np.int64)
        self.num_results = self.num_samples = 0

    def write(self, result: Result) -> None:
        """See `runtime.sinks.sink.Sink`."""
        self.num_results += 1
        if self.num_results >= NUM_WARM and (self.num_results - NUM_WARM) % EVERY == 0:
            self.samples[self.num_samples] = tracemalloc.get_traced_memory()[0], resident_bytes()
            self.num_samples += 1

    def tell(self, status: Status) -> None:
        """See `runtime.sinks.sink.Sink`."""

    def close(self) -> None:
        """Nothing is held."""


def _slope(samples: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
    """Bytes a frame, by least squares over all samples: one sample may fall into the middle of a frame."""
    frames = np.arange(len(samples)) * EVERY
    return float(np.polyfit(frames, samples, 1)[0]) if len(samples) > 1 else 0.0
