"""How a frame is looked at when it is labelled: at several scales, mirrored, exposed anew, and by its own statistics.

A network is rarely wrong in the same way in all of them, and a label is made once: what a vehicle could not pay for
sixty times a second is paid for here, and learnt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from training.frame_network import FrameInput
from training.networks.network import SegmentationNetwork, scaled_hw, upsample
from training.statistics.frame_statistics import by_frame

__all__ = ["Looks", "exposed", "frame_probs", "mean_probs"]


@dataclass(frozen=True, slots=True)
class Looks:
    """A frame is seen at every scale, exposure and frame share, each with each, and again mirrored if asked for.

    `exposures` are exponents of pixel values in 0..1: below 1 brightens, 1 changes nothing. `frame_shares` are shares
    of a look's own batch-norm statistics in those that normalise it. Frames that differ much want a large
    share, those that are alike none; on development pairs the mean of both was seldom worse than the better of the two.
    """

    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False
    exposures: tuple[float, ...] = (1.0,)
    frame_shares: tuple[float, ...] = (0.0,)


def exposed(frames: Tensor, exposure: float) -> Tensor:
    """Frames of 0..255, any shape, float32, with every value in 0..1 raised to `exposure`."""
    frames = frames.float()
    return frames if exposure == 1.0 else 255.0 * (frames / 255.0) ** exposure


def frame_probs(
    network: SegmentationNetwork, frame_input: FrameInput, frames: Tensor, looks: Looks, *, network_hw: tuple[int, int]
) -> Tensor:
    """Mean of softmax maps (N, C, H, W) of frames (N, H, W, 3) uint8, over all looks.

    Args:
        network: in evaluation mode; its statistics are as they were afterwards.
        frame_input: how it is fed.
        frames: N frames of one size.
        looks: how they are looked at.
        network_hw: the size the network sees at scale 1.
    """
    frame_hw = (int(frames.shape[1]), int(frames.shape[2]))
    total: Tensor | float = 0.0
    views = (False, True) if looks.mirror else (False,)
    images = [
        F.interpolate(full, size=hw, mode="bilinear", align_corners=False, antialias=True)
        for full in (frame_input(exposed(frames, exposure)) for exposure in looks.exposures)
        for hw in (scaled_hw(network_hw, scale, network.size_multiple) for scale in looks.scales)
    ]
    for share in looks.frame_shares:
        with by_frame(network, share):
            for image, is_mirrored in product(images, views):
                logits = network.logits(image.flip(3) if is_mirrored else image)
                probs = logits.float().softmax(dim=1)
                probs = probs.flip(3) if is_mirrored else probs
                total = total + upsample(probs, frame_hw, align_corners=network.align_corners)
    assert isinstance(total, Tensor)
    return total / (len(looks.frame_shares) * len(images) * len(views))


def mean_probs(
    network: SegmentationNetwork,
    frame_input: FrameInput,
    frames: Iterable[Tensor],
    looks: Looks,
    *,
    network_hw: tuple[int, int],
) -> Tensor:
    """Mean probability of each class, (C,), over frames (1, H, W, 3) uint8 that are looked at one by one."""
    means = [
        frame_probs(network, frame_input, frame, looks, network_hw=network_hw).mean(dim=(0, 2, 3)) for frame in frames
    ]
    return torch.stack(means).mean(dim=0)
