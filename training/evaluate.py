"""Accuracy of a network on labelled frames, through the very graph that is deployed."""

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.command import progress
from runtime.metrics import ConfusionMatrix
from training.checkpoint import NetworkSpec
from training.data.frames import LabelledFrames
from training.device import Compute
from training.frame_sizes import frame_network_of
from training.networks.network import SegmentationNetwork

__all__ = ["evaluate"]


def evaluate(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: LabelledFrames,
    compute: Compute,
    *,
    title: str,
    by_frame: list[NDArray[np.int64]] | None = None,
) -> ConfusionMatrix:
    """Confusion matrix of a network over all frames, single scale, at the frames' own size, in float32.

    Frames may differ in size; each size gets its own deploy graph. Labels are compared at the size of the ground truth,
    as published results are. Published evaluations shrink Cityscapes frames with Pillow's bicubic filter; the deploy
    graph averages two by two pixels at that factor, because a vehicle has no Pillow and what ships is what is measured.
    Several processes share the frames, and each returns the matrix of all of them. Where `by_frame` is given, it
    receives the counts (C, C) of each frame that this process looked at.

    Raises:
        DataError: a frame or label cannot be read, or a frame is more than twice the network's size.
    """
    matrix = ConfusionMatrix(spec.label_space.num_classes)
    graphs = {}
    for index in progress(compute.world.share(range(len(frames))), title=title, unit="frame"):
        image = frames.image(index)
        frame_hw = (image.shape[0], image.shape[1])
        if frame_hw not in graphs:
            graph = frame_network_of(network, spec, frame_hw, name=frames.name(index))
            graphs[frame_hw] = graph.to(compute.device)
        with torch.no_grad():
            labels, _ = graphs[frame_hw](torch.from_numpy(image).to(compute.device)[None])
        of_frame = ConfusionMatrix(spec.label_space.num_classes)
        of_frame.update(frames.label(index), labels[0].cpu().numpy())
        matrix.counts += of_frame.counts
        if by_frame is not None:
            by_frame.append(of_frame.counts)
    matrix.counts = compute.world.sum(torch.from_numpy(matrix.counts)).numpy()
    return matrix
