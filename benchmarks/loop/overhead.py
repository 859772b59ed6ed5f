"""What a frame costs beside the engine: the bare engine and the whole loop, in turn, at the same pace."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Frame
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.loop.document import Overhead
from benchmarks.loop.recorder import STAGES, Recorder
from benchmarks.loop.run import run_loop
from benchmarks.samples import percentiles_ms
from runtime.command import progress
from runtime.segmenter import Segmenter
from runtime.swap.served import Served

__all__ = ["engine_ns", "measure_overhead"]

NUM_WARM, NUM_CAPACITY = 20, 40


def engine_ns(segmenter: Segmenter, frames: Sequence[Frame]) -> int:
    """Median time of the engine, one frame right after the other."""
    samples = [segmenter.segment(frames[index % len(frames)]).infer_ns for index in range(NUM_WARM + NUM_CAPACITY)]
    return int(np.median(samples[NUM_WARM:]))


def measure_overhead(segmenter: Segmenter, frames: Sequence[Frame], config: LoopBenchmarkConfig) -> Overhead:
    """Compare the time from a frame in memory to its labels in a sink with that of the engine alone.

    The engine alone is `Backend.infer`: it copies the frame to where the engine reads it, runs, and makes the labels
    on the host where the artefact ends in logits. The copy is timed by itself as well and counts as overhead. Reading
    is left out: it is the camera's pace and, here, a copy from memory; a decoder would stand in its place.
    """
    period_ns = int(engine_ns(segmenter, frames) / config.load)
    served = Served(lambda: segmenter)
    bare: list[int] = []
    staged: list[NDArray[np.int64]] = []
    for _ in progress(range(config.num_rounds), title="overhead", unit="round"):
        bare += _bare_turn(segmenter, frames, period_ns, config.round_frames)
        recorder = Recorder(config.round_frames + NUM_WARM)
        run_loop(served, frames, period_ns, config.round_frames + NUM_WARM, recorder, deadline_ms=1000)
        # The first frames of a turn find the loop's memory untouched.
        staged.append(recorder.filled_ns[NUM_WARM:])
    bare_ns, stages_ns = np.array(bare), np.concatenate(staged)
    copy_ns = _copy_ns(frames[0])
    bare_p50 = float(np.median(bare_ns)) - copy_ns
    after_read = stages_ns[:, 1:].sum(axis=1)
    return Overhead(
        frame_hw=(frames[0].shape[0], frames[0].shape[1]),
        num_frames=len(stages_ns),
        period_ms=period_ns / 1e6,
        engine_ms=percentiles_ms(bare_ns - int(copy_ns)),
        copy_ms=copy_ns / 1e6,
        stages_ms={name: percentiles_ms(stages_ns[:, column]) for column, name in enumerate(STAGES)},
        loop_ms=percentiles_ms(after_read),
        overhead_ms=(float(np.median(after_read)) - bare_p50) / 1e6,
        overhead_share=float(np.median(after_read)) / bare_p50 - 1,
    )


def _bare_turn(segmenter: Segmenter, frames: Sequence[Frame], period_ns: int, num_frames: int) -> list[int]:
    """The engine's time for each frame, as they come at the same pace as in the loop."""
    samples = []
    start_ns = time.monotonic_ns() + period_ns
    for index in range(NUM_WARM + num_frames):
        time.sleep(max(0.0, (start_ns + index * period_ns - time.monotonic_ns()) / 1e9))
        samples.append(segmenter.segment(frames[index % len(frames)]).infer_ns)
    return samples[NUM_WARM:]


def _copy_ns(frame: Frame) -> float:
    """Median time to copy a frame."""
    into = np.empty_like(frame)
    samples = []
    for _ in range(NUM_CAPACITY):
        start_ns = time.perf_counter_ns()
        np.copyto(into, frame)
        samples.append(time.perf_counter_ns() - start_ns)
    return float(np.median(samples))
