"""Runs the loop over paced frames, with a network that stays open between runs."""

from collections.abc import Sequence
from time import monotonic_ns

from benchmarks.contenders import Frame
from benchmarks.loop.paced import PacedFrames
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.loop.config import LoopConfig
from runtime.loop.loop import Loop, NamedSink
from runtime.result import Counters
from runtime.sinks.sink import Sink
from runtime.swap.served import Served

__all__ = ["is_exact", "run_loop"]


def run_loop(
    served: Served, frames: Sequence[Frame], period_ns: int, num_frames: int, sink: Sink, *, deadline_ms: int
) -> Counters:
    """Show so many frames, one every `period_ns`, to a loop with one sink; returns what the loop counted."""
    source = PacedFrames(frames, period_ns, num_frames)
    monitor = Monitor(HealthConfig(), monotonic_ns)
    config = LoopConfig(deadline_ms=deadline_ms)
    return Loop(served, lambda: source, [NamedSink("benchmark", sink)], monitor, config).run()


def is_exact(counters: Counters, num_frames: int) -> bool:
    """Whether every frame of the camera came to one end; `lost` counts gaps between frames, none before the first."""
    ended = counters.num_published + counters.num_withheld + counters.num_dropped
    return counters.num_captured == ended and num_frames == counters.num_captured + counters.num_lost
