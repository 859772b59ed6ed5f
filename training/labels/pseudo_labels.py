"""Offline pseudo-labels: one PNG of train ids per target frame, made before training starts (eq. 1).

Softmax maps of three scales, each also mirrored, are summed and the largest class is kept: dense, no threshold
(authors' code; the paper does not mention the scales). Files that are already there are not made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from runtime.command import progress
from runtime.errors import DataError
from runtime.images import write_png
from runtime.labels import IGNORE_INDEX
from training.checkpoint import NetworkSpec
from training.config import PseudoLabelConfig
from training.data.frames import Frames
from training.device import Compute
from training.frame_network import FrameInput
from training.networks.network import SegmentationNetwork, scaled_hw, upsample

__all__ = ["PseudoLabels", "frame_probs", "label_frame", "make_pseudo_labels", "read_map", "scaled_hw"]


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Pseudo-labels on disk, by frame index."""

    folder: Path

    def path(self, index: int) -> Path:
        """File of one frame's labels."""
        return self.folder / f"{index:06d}.png"

    def label(self, index: int) -> NDArray[np.uint8]:
        """(H, W) train ids of one frame.

        Raises:
            DataError: the file is missing or damaged.
        """
        return read_map(self.path(index), "pseudo-labels")

    def class_prior(self, num_frames: int, num_classes: int) -> Tensor:
        """Frequency of each class over all frames, (num_classes,), summing to 1; none is zero."""
        counts = np.ones(num_classes)
        for index in range(num_frames):
            label = self.label(index)
            counts += np.bincount(label[label != IGNORE_INDEX], minlength=num_classes)
        return torch.from_numpy(counts / counts.sum()).float()


def read_map(path: Path, content: str) -> NDArray[np.uint8]:
    """An (H, W) uint8 map that a run wrote; `content` says what it is, for the message.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError) as error:
        raise DataError(f"{content} {path} cannot be read ({error}); delete the folder") from error


@torch.no_grad()
def make_pseudo_labels(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    labels: PseudoLabels,
    config: PseudoLabelConfig,
    compute: Compute,
) -> None:
    """Write the pseudo-labels of all frames that have none yet, at each frame's own size.

    Args:
        network: the source network in evaluation mode.
        spec: how it is fed, and the size it sees at scale 1.
        frames: N target frames.
        labels: where they go.
        config: scales, and whether to label the mirrored frame too.
        compute: device and precision.
    """
    labels.folder.mkdir(parents=True, exist_ok=True)
    frame_input = spec.frame_input().to(compute.device)
    missing = [index for index in compute.world.share(range(len(frames))) if not labels.path(index).is_file()]
    for index in progress(missing, title="pseudo-labels", unit="frame"):
        frame = torch.from_numpy(frames.image(index)).to(compute.device)[None]
        with compute.autocast():
            label = label_frame(
                network,
                frame_input,
                frame,
                network_hw=spec.network_hw,
                scales=config.scales,
                mirror=config.mirror,
            )
        write_png(labels.path(index), label[0].cpu().numpy())
    compute.world.wait()


def label_frame(
    network: SegmentationNetwork,
    frame_input: FrameInput,
    frames: Tensor,
    *,
    network_hw: tuple[int, int],
    scales: Sequence[float],
    mirror: bool,
) -> Tensor:
    """Labels (N, H, W) uint8 of frames (N, H, W, 3) uint8, the largest of `frame_probs`."""
    probs = frame_probs(network, frame_input, frames, network_hw=network_hw, scales=scales, mirror=mirror)
    return probs.argmax(dim=1).to(torch.uint8)


def frame_probs(
    network: SegmentationNetwork,
    frame_input: FrameInput,
    frames: Tensor,
    *,
    network_hw: tuple[int, int],
    scales: Sequence[float],
    mirror: bool,
) -> Tensor:
    """Mean of softmax maps (N, C, H, W) of frames (N, H, W, 3) uint8, over scales and mirroring."""
    frame_hw = (int(frames.shape[1]), int(frames.shape[2]))
    total: Tensor | float = 0.0
    views = (False, True) if mirror else (False,)
    for scale in scales:
        image = F.interpolate(
            frame_input(frames),
            size=scaled_hw(network_hw, scale, network.size_multiple),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        for is_mirrored in views:
            logits = network.logits(image.flip(3) if is_mirrored else image)
            probs = logits.float().softmax(dim=1)
            probs = probs.flip(3) if is_mirrored else probs
            total = total + upsample(probs, frame_hw, align_corners=network.align_corners)
    assert isinstance(total, Tensor)
    return total / (len(scales) * len(views))
