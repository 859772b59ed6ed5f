"""Contention: one stream with and without a second load on the same cores, in blocks that take turns."""

import os
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import Frame
from benchmarks.scenarios.config import ContentionConfig
from benchmarks.scenarios.document import Contention
from benchmarks.scenarios.labels import LabelCheck, require_same_labels
from benchmarks.scenarios.second_load import DESCRIPTION, second_load
from benchmarks.scenarios.single_stream import run_queries, warm
from benchmarks.scenarios.times import ratio_of, times_of
from runtime.command import progress
from runtime.segmenter import Segmenter

__all__ = ["measure_contention"]


def measure_contention(
    segmenter: Segmenter, frames: Sequence[Frame], config: ContentionConfig, *, warmup: int, seed: int
) -> Contention:
    """Measure both kinds of blocks, in pairs whose order is drawn anew.

    Args:
        segmenter: what is slowed down.
        frames: shown in rotation.
        config: how many blocks, and the second load.
        warmup: frames before the first block, and one before each, which no time counts.
        seed: draws orders and compared outputs.

    Raises:
        BackendError: the engine failed, or the second load did.
        GateError: labels changed.
    """
    warm(segmenter, frames, warmup)
    check = LabelCheck(lambda frame: segmenter.segment(frame).labels, frames, seed)
    rng = np.random.default_rng(seed)
    load_threads = config.load_threads or len(os.sched_getaffinity(0))
    blocks: dict[bool, list[NDArray[np.int64]]] = {False: [], True: []}
    for number in progress(range(config.num_blocks), title="contention", unit="pair"):
        for is_loaded in rng.permutation([False, True]).tolist():
            with second_load(load_threads) if is_loaded else nullcontext():
                warm(segmenter, frames, 1)
                queries = run_queries(
                    segmenter, frames, config.block_queries, check, first=number * config.block_queries
                )
            blocks[is_loaded].append(queries.whole_ns)
    checked = check.result()
    require_same_labels("contention", [checked])
    quiet_ns, loaded_ns = (
        np.array([np.median(block) for block in blocks[is_loaded]], dtype=np.int64) for is_loaded in (False, True)
    )
    return Contention(
        load=DESCRIPTION,
        load_threads=load_threads,
        num_blocks=config.num_blocks,
        block_queries=config.block_queries,
        quiet=times_of(np.concatenate(blocks[False])),
        loaded=times_of(np.concatenate(blocks[True])),
        slowdown=ratio_of(loaded_ns, quiet_ns),
        checked=checked,
    )
