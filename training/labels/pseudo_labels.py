"""Offline pseudo-labels: one PNG of train ids per target frame, made before training starts (eq. 1).

Softmax maps of several looks at a frame are summed and the largest class is kept: dense, no threshold (authors' code,
which looks at three scales, each also mirrored; the paper does not mention them). Files that are already there are not
made again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from runtime.command import progress
from runtime.errors import DataError
from runtime.images import write_png
from runtime.labels import IGNORE_INDEX
from training.checkpoint import NetworkSpec
from training.data.frames import Frames
from training.device import Compute
from training.labels.looks import Looks, frame_probs, mean_probs
from training.networks.network import SegmentationNetwork
from training.statistics.balance import balancing_offsets

__all__ = ["PseudoLabels", "make_pseudo_labels", "read_map"]

# Evenly spread frames whose probabilities say how frequent each class is.
COUNTED_FRAMES = 32


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
    looks: Looks,
    compute: Compute,
    *,
    balance: float = 0.0,
) -> None:
    """Write the pseudo-labels of all frames that have none yet, at each frame's own size.

    Args:
        network: the source network in evaluation mode.
        spec: how it is fed, and the size it sees at scale 1.
        frames: N target frames.
        labels: where they go.
        looks: how each frame is looked at.
        compute: device and precision.
        balance: probabilities are divided by this power of the class frequencies that they have over frames, so that
            frequent classes do not take the pixels of rare ones; 0 leaves them as they are.
    """
    labels.folder.mkdir(parents=True, exist_ok=True)
    frame_input = spec.frame_input().to(compute.device)
    missing = [index for index in compute.world.share(range(len(frames))) if not labels.path(index).is_file()]

    def frame(index: int) -> Tensor:
        return torch.from_numpy(frames.image(index)).to(compute.device)[None]

    weights = None
    if balance > 0 and missing:
        counted = np.linspace(0, len(frames) - 1, num=min(COUNTED_FRAMES, len(frames)), dtype=int).tolist()
        some = (frame(index) for index in progress(counted, title="class frequencies", unit="frame"))
        with compute.autocast():
            frequencies = mean_probs(network, frame_input, some, looks, network_hw=spec.network_hw)
        weights = balancing_offsets(frequencies, balance).exp().view(1, -1, 1, 1)
    for index in progress(missing, title="pseudo-labels", unit="frame"):
        with compute.autocast():
            probs = frame_probs(network, frame_input, frame(index), looks, network_hw=spec.network_hw)
        if weights is not None:
            probs = probs * weights
        write_png(labels.path(index), probs.argmax(dim=1)[0].to(torch.uint8).cpu().numpy())
    compute.world.wait()
