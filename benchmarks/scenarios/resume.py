"""Resume after idle: what the first frame after a pause takes, in which clocks fall and memory grows cold."""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.contenders import Frame
from benchmarks.scenarios.config import ResumeConfig
from benchmarks.scenarios.document import Resume
from benchmarks.scenarios.labels import LabelCheck, require_same_labels
from benchmarks.scenarios.single_stream import run_queries, warm
from benchmarks.scenarios.times import ratio_of, times_of
from runtime.command import progress
from runtime.segmenter import Segmenter

__all__ = ["measure_resume"]


def measure_resume(
    segmenter: Segmenter, frames: Sequence[Frame], config: ResumeConfig, *, warmup: int, seed: int
) -> Resume:
    """Measure the first frame after each pause against the frames before it.

    Raises:
        BackendError: the engine failed.
        GateError: labels changed.
    """
    warm(segmenter, frames, warmup)
    check = LabelCheck(lambda frame: segmenter.segment(frame).labels, frames, seed)
    first, running = [], []
    number = 0
    for _ in progress(range(config.num_pauses), title="resume", unit="pause"):
        running.append(run_queries(segmenter, frames, config.run_queries, check, first=number).whole_ns)
        number += config.run_queries
        time.sleep(config.idle_s)
        first.append(run_queries(segmenter, frames, 1, check, first=number).whole_ns)
        number += 1
    checked = check.result()
    require_same_labels("resume", [checked])
    first_ns = np.concatenate(first)
    return Resume(
        idle_s=config.idle_s,
        num_pauses=config.num_pauses,
        first=times_of(first_ns),
        running=times_of(np.concatenate(running)),
        slowdown=ratio_of(first_ns, np.array([np.median(run) for run in running], dtype=np.int64)),
        checked=checked,
    )
