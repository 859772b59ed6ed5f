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
from training.data.frames import Frames
from training.device import Compute
from training.frame_network import FrameInput
from training.networks import DeepLabV2, upsample

__all__ = ["PseudoLabels", "label_frame", "make_pseudo_labels"]


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
        try:
            with Image.open(self.path(index)) as image:
                return np.array(image)
        except (OSError, SyntaxError) as error:
            raise DataError(f"pseudo-labels {self.path(index)} cannot be read ({error}); delete the folder") from error

    def class_prior(self, num_frames: int, num_classes: int) -> Tensor:
        """Frequency of each class over all frames, (num_classes,), summing to 1; none is zero."""
        counts = np.ones(num_classes)
        for index in range(num_frames):
            counts += np.bincount(self.label(index).ravel(), minlength=num_classes)
        return torch.from_numpy(counts / counts.sum()).float()


def make_pseudo_labels(
    network: DeepLabV2,
    frame_input: FrameInput,
    frames: Frames,
    labels: PseudoLabels,
    *,
    network_hw: tuple[int, int],
    scales: Sequence[float],
    mirror: bool,
    compute: Compute,
) -> None:
    """Write the pseudo-labels of all frames, at each frame's own size.

    Args:
        network: the source network in evaluation mode.
        frame_input: its input convention.
        frames: N target frames.
        labels: where they go.
        network_hw: the size the network sees at scale 1.
        scales: of the network's input.
        mirror: also label the mirrored frame.
        compute: device and precision.
    """
    labels.folder.mkdir(parents=True, exist_ok=True)
    missing = [index for index in range(len(frames)) if not labels.path(index).is_file()]
    for index in progress(missing, title="pseudo-labels", unit="frame"):
        frame = torch.from_numpy(frames.image(index)).to(compute.device)[None]
        with torch.no_grad(), compute.autocast():
            label = label_frame(network, frame_input, frame, network_hw=network_hw, scales=scales, mirror=mirror)
        write_png(labels.path(index), label[0].cpu().numpy())


def label_frame(
    network: DeepLabV2,
    frame_input: FrameInput,
    frames: Tensor,
    *,
    network_hw: tuple[int, int],
    scales: Sequence[float],
    mirror: bool,
) -> Tensor:
    """Labels (N, H, W) uint8 of frames (N, H, W, 3) uint8, from the sum of softmax maps over scales and mirroring."""
    frame_hw = (int(frames.shape[1]), int(frames.shape[2]))
    total: Tensor | float = 0.0
    for scale in scales:
        image = F.interpolate(
            frame_input(frames),
            size=[max(8, round(side * scale)) for side in network_hw],
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        for is_mirrored in (False, True) if mirror else (False,):
            logits = network(image.flip(3) if is_mirrored else image).logits
            probs = logits.float().softmax(dim=1)
            total = total + upsample(probs.flip(3) if is_mirrored else probs, frame_hw)
    assert isinstance(total, Tensor)
    return total.argmax(dim=1).to(torch.uint8)
