"""Offline: as many frames as possible, nobody waiting for any of them.

The artefacts of a bundle take one frame at a time. What fills a machine with them is several engines, each with its
share of the threads, that work off one queue; PyTorch eager in float32 stands beside them with real batches.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import numpy as np
import torch

from benchmarks.contenders import PYTORCH, SETTLE_S, Frame
from benchmarks.document import Ratio
from benchmarks.scenarios.config import OfflineConfig
from benchmarks.scenarios.document import Offline, OfflineRow
from benchmarks.scenarios.labels import LabelCheck, require_same_labels
from benchmarks.scenarios.served import ServedBundle
from benchmarks.scenarios.single_stream import warm
from benchmarks.scenarios.times import ratio_of
from runtime.command import progress
from runtime.errors import ConfigError
from runtime.segmenter import Segmenter
from training.frame_network import FrameNetwork

__all__ = ["engine_numbers", "measure_offline"]

Kept = dict[int, Frame]
"""Labels by place in the round."""


class _Way(Protocol):
    """A way of getting through the frames of a round; gives copies of the labels at the places in `drawn`."""

    def __call__(self, round_frames: Sequence[Frame], drawn: frozenset[int]) -> Kept: ...


@dataclass(slots=True)
class _Contender:
    """A row to be."""

    name: str
    is_ours: bool
    num_engines: int
    threads: int
    batch_size: int
    way: _Way
    check: LabelCheck
    rounds_ns: list[int] = field(default_factory=list)


def engine_numbers(config: OfflineConfig, threads: int) -> tuple[int, ...]:
    """How many engines work side by side, in each row of the bundle.

    Raises:
        ConfigError: there are fewer threads than engines.
    """
    numbers = config.engines or tuple(sorted({1, threads}))
    if max(numbers) > threads:
        raise ConfigError(
            f"benchmarks.scenarios.offline.engines={list(numbers)} asks for more engines than there are threads, "
            f"{threads}; use at most as many, or set benchmarks.threads"
        )
    return numbers


def measure_offline(
    served: ServedBundle,
    graph: FrameNetwork | None,
    frames: Sequence[Frame],
    config: OfflineConfig,
    *,
    warmup: int,
    seed: int,
) -> Offline:
    """Measure all ways, round by round, in an order drawn anew for each.

    Args:
        served: opened as often as there are engines.
        graph: of the peer, placed and in evaluation mode; None leaves it out.
        frames: shown in rotation.
        config: how many engines, batches, frames and rounds.
        warmup: frames of each engine, and of each batch size, before the first round.
        seed: draws orders and compared outputs.

    Raises:
        ConfigError: there are fewer threads than engines.
        BackendError: an engine failed.
        GateError: labels changed.
    """
    rng = np.random.default_rng(seed)
    with ExitStack() as stack:
        contenders = [
            _engines(served, number, frames, warmup, seed, stack) for number in engine_numbers(config, served.threads)
        ]
        if graph is not None:
            contenders += [_batches(graph, size, frames, served.threads, warmup, seed) for size in config.batch_sizes]
        for turn in progress(range(config.num_rounds), title="offline", unit="round"):
            first = turn * config.round_frames
            numbers = range(first, first + config.round_frames)
            round_frames = [frames[number % len(frames)] for number in numbers]
            for position in rng.permutation(len(contenders)).tolist():
                _run_round(contenders[position], round_frames, first)
    for contender in contenders:
        require_same_labels(f"offline, {contender.name}", [contender.check.result()])
    return Offline(
        round_frames=config.round_frames,
        num_rounds=config.num_rounds,
        rows=tuple(_row(contender, contenders[0], config) for contender in contenders),
    )


def _run_round(contender: _Contender, round_frames: Sequence[Frame], first: int) -> None:
    drawn = contender.check.drawn(len(round_frames))
    # Threads of the one before may still be looking for work.
    time.sleep(SETTLE_S)
    start_ns = time.perf_counter_ns()
    kept = contender.way(round_frames, drawn)
    contender.rounds_ns.append(time.perf_counter_ns() - start_ns)
    assert kept.keys() == drawn
    for place, labels in kept.items():
        contender.check.compare(first + place, labels)


def _engines(
    served: ServedBundle, number: int, frames: Sequence[Frame], warmup: int, seed: int, stack: ExitStack
) -> _Contender:
    threads = served.share(number)
    segmenters = [stack.enter_context(served.open(threads)) for _ in range(number)]
    for segmenter in segmenters:
        warm(segmenter, frames, warmup)
    pool = stack.enter_context(ThreadPoolExecutor(number))

    def way(round_frames: Sequence[Frame], drawn: frozenset[int]) -> Kept:
        # `next` of a counter is one step of the interpreter: no two threads get the same place.
        places = count()

        def work(segmenter: Segmenter) -> Kept:
            kept: Kept = {}
            while (place := next(places)) < len(round_frames):
                labels = segmenter.segment(round_frames[place]).labels
                if place in drawn:
                    kept[place] = labels.copy()
            return kept

        return {place: labels for kept in pool.map(work, segmenters) for place, labels in kept.items()}

    plural = "s" if number > 1 else ""
    each = " each" if number > 1 else ""
    name = f"{number} engine{plural}, {threads} thread{'s' if threads > 1 else ''}{each}"
    check = LabelCheck(lambda frame: segmenters[0].segment(frame).labels, frames, seed)
    return _Contender(name, True, number, threads, 1, way, check)


def _batches(
    graph: FrameNetwork, size: int, frames: Sequence[Frame], threads: int, warmup: int, seed: int
) -> _Contender:
    def segment_batch(batch: Sequence[Frame]) -> Frame:
        """(N, H, W) labels; making one array of the frames is part of it."""
        with torch.no_grad():
            labels, confidence = graph(torch.from_numpy(np.stack(batch)))
        confidence.numpy()
        found: Frame = labels.numpy()
        return found

    def way(round_frames: Sequence[Frame], drawn: frozenset[int]) -> Kept:
        kept: Kept = {}
        for first in range(0, len(round_frames), size):
            labels = segment_batch(round_frames[first : first + size])
            kept |= {first + place: found.copy() for place, found in enumerate(labels) if first + place in drawn}
        return kept

    for index in range(-(-warmup // size)):
        segment_batch([frames[(index * size + place) % len(frames)] for place in range(size)])
    check = LabelCheck(_one_by_one(segment_batch), frames, seed)
    return _Contender(f"{PYTORCH}, batch {size}", False, 1, threads, size, way, check)


def _one_by_one(segment_batch: Callable[[Sequence[Frame]], Frame]) -> Callable[[Frame], Frame]:
    """The reference of every batch size: the same network on one frame."""

    def segment(frame: Frame) -> Frame:
        labels: Frame = segment_batch([frame])[0]
        return labels

    return segment


def _row(contender: _Contender, first: _Contender, config: OfflineConfig) -> OfflineRow:
    rounds_ns = np.array(contender.rounds_ns)
    against: Ratio | None = None if contender is first else ratio_of(np.array(first.rounds_ns), rounds_ns)
    return OfflineRow(
        name=contender.name,
        is_ours=contender.is_ours,
        num_engines=contender.num_engines,
        threads=contender.threads,
        batch_size=contender.batch_size,
        frames_per_s=config.round_frames * config.num_rounds * 1e9 / int(rounds_ns.sum()),
        against_first=against,
        checked=contender.check.result(),
        rounds_ns=tuple(contender.rounds_ns),
    )
