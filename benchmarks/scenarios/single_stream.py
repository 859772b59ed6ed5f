"""Single stream: the next frame comes right after the labels of the last one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Frame
from benchmarks.samples import percentiles_ms
from benchmarks.scenarios.document import SingleStream
from benchmarks.scenarios.labels import LabelCheck, require_same_labels
from benchmarks.scenarios.times import times_of
from runtime.segmenter import Segmenter

__all__ = ["Queries", "measure_single_stream", "run_queries", "warm"]


@dataclass(frozen=True, slots=True)
class Queries:
    """Nanoseconds of each query, (N,) each: `whole`, and of it `copy` and `infer`."""

    whole_ns: NDArray[np.int64]
    copy_ns: NDArray[np.int64]
    infer_ns: NDArray[np.int64]


def warm(segmenter: Segmenter, frames: Sequence[Frame], num_frames: int) -> None:
    """Show so many frames that nobody times."""
    for index in range(num_frames):
        segmenter.segment(frames[index % len(frames)])


def run_queries(
    segmenter: Segmenter, frames: Sequence[Frame], num_queries: int, check: LabelCheck, *, first: int = 0
) -> Queries:
    """Time queries one right after the other; labels are compared between them, which no time counts.

    Args:
        segmenter: warmed.
        frames: shown in rotation.
        num_queries: how many.
        check: draws and compares outputs.
        first: place in the rotation of the first frame.
    """
    drawn = check.drawn(num_queries)
    samples_ns: NDArray[np.int64] = np.zeros((3, num_queries), dtype=np.int64)
    for query in range(num_queries):
        number = first + query
        frame = frames[number % len(frames)]
        start_ns = time.perf_counter_ns()
        found = segmenter.segment(frame)
        whole_ns = time.perf_counter_ns() - start_ns
        samples_ns[:, query] = whole_ns, found.copy_ns, found.infer_ns
        if query in drawn:
            check.compare(number, found.labels)
    return Queries(*samples_ns)


def measure_single_stream(
    segmenter: Segmenter, frames: Sequence[Frame], *, num_queries: int, warmup: int, seed: int
) -> SingleStream:
    """Measure latency and throughput of one stream.

    Raises:
        BackendError: the engine failed.
        GateError: labels changed.
    """
    warm(segmenter, frames, warmup)
    check = LabelCheck(lambda frame: segmenter.segment(frame).labels, frames, seed)
    queries = run_queries(segmenter, frames, num_queries, check)
    checked = check.result()
    require_same_labels("single_stream", [checked])
    stages_ns = {
        "copy": queries.copy_ns,
        "infer": queries.infer_ns,
        "return": queries.whole_ns - queries.copy_ns - queries.infer_ns,
    }
    total_ns = int(queries.whole_ns.sum())
    return SingleStream(
        times=times_of(queries.whole_ns),
        stages_ms={name: percentiles_ms(samples) for name, samples in stages_ns.items()},
        stages_ns={name: tuple(samples.tolist()) for name, samples in stages_ns.items()},
        frames_per_s=num_queries * 1e9 / total_ns,
        duration_s=total_ns / 1e9,
        checked=checked,
    )
