"""Target frames as a network sees them when nothing is learnt from them: evenly spread, clean, in batches."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from runtime.command import progress
from training.checkpoint import NetworkSpec
from training.data.frames import Frames
from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import Statistics, estimate_statistics

__all__ = ["SCORED_FRAMES", "frame_batches", "network_inputs", "target_statistics"]

SCORED_FRAMES = 32
"""Enough for scores without labels and for choices made by them."""
FRAMES_PER_BATCH = 4


def target_statistics(
    network: SegmentationNetwork, spec: NetworkSpec, frames: Frames, compute: Compute, *, limit: int
) -> Statistics:
    """Batch-norm statistics of a network on up to `limit` clean target frames, at the size it sees when deployed."""
    images = network_inputs(spec, frames, compute, limit=limit)
    with compute.autocast():
        return estimate_statistics(network, network, images)


def network_inputs(spec: NetworkSpec, frames: Frames, compute: Compute, *, limit: int) -> Iterator[Tensor]:
    """Up to `limit` frames, evenly spread, as batches (N, 3, *network_hw) of network input.

    The last batch is full too, with frames repeated: batch statistics of a single frame would count as much as
    those of a whole batch.
    """
    frame_input = spec.frame_input().to(compute.device)
    for images in frame_batches(frames, compute, limit=limit):
        inputs = torch.cat([frame_input(image, spec.network_hw) for image in images])
        yield inputs.contiguous(memory_format=torch.channels_last)


def frame_batches(frames: Frames, compute: Compute, *, limit: int) -> Iterator[list[Tensor]]:
    """The frames of `network_inputs`, (1, H, W, 3) uint8 each, since they may differ in size."""
    indices = np.linspace(0, len(frames) - 1, num=min(limit, len(frames)), dtype=int)
    rest = -len(indices) % FRAMES_PER_BATCH
    indices = np.concatenate([indices, np.resize(indices, rest)])
    for batch in progress(indices.reshape(-1, FRAMES_PER_BATCH), title="target frames", unit="batch"):
        yield [torch.from_numpy(frames.image(int(index))).to(compute.device)[None] for index in batch]
