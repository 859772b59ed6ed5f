"""Importance of every target pixel, judged once by the frozen source network and read like a label afterwards (eq. 4).

The reference code runs the source network on every crop of every step to get it. It never changes, so one pass over
the frames does: a quarter of the forward passes of a step is saved, and the network itself. What differs is the
view: the whole frame at the size the network is deployed with, in place of a rescaled crop without its surroundings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.command import progress
from runtime.images import write_png
from training.checkpoint import NetworkSpec
from training.data.frames import Frames
from training.device import Compute
from training.labels.pseudo_labels import read_map
from training.losses.terms import ImportanceForm, importance_map
from training.networks.network import SegmentationNetwork, upsample

__all__ = ["ImportanceMaps", "frame_importance", "make_importance_maps"]


@dataclass(frozen=True, slots=True)
class ImportanceMaps:
    """Importance on disk, by frame index: (h, w) uint8 at the size the network sees, 255 for 1."""

    folder: Path

    def path(self, index: int) -> Path:
        """File of one frame's importance."""
        return self.folder / f"{index:06d}.png"

    def importance(self, index: int) -> NDArray[np.uint8]:
        """(h, w) importance of one frame, 0..255; it covers the whole frame.

        Raises:
            DataError: the file is missing or damaged.
        """
        return read_map(self.path(index), "importance")


@torch.no_grad()
def make_importance_maps(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    maps: ImportanceMaps,
    *,
    form: ImportanceForm,
    compute: Compute,
) -> None:
    """Write the importance of all frames that have none yet; `network` is in evaluation mode."""
    maps.folder.mkdir(parents=True, exist_ok=True)
    missing = [index for index in compute.world.share(range(len(frames))) if not maps.path(index).is_file()]
    for index in progress(missing, title="importance", unit="frame"):
        frame = torch.from_numpy(frames.image(index)).to(compute.device)[None]
        with compute.autocast():
            importance = frame_importance(network, spec, frame, form)
        write_png(maps.path(index), importance[0].cpu().numpy())
    compute.world.wait()


@torch.no_grad()
def frame_importance(network: SegmentationNetwork, spec: NetworkSpec, frames: Tensor, form: ImportanceForm) -> Tensor:
    """Importance (N, *network_hw) uint8 of frames (N, H, W, 3) uint8, 255 for 1."""
    frame_input = spec.frame_input().to(frames.device)
    logits = network.logits(frame_input(frames, spec.network_hw))
    # Upsampled first, as the reference does: between two classes the margin falls to zero, which cells do not show.
    logits = upsample(logits, spec.network_hw, align_corners=network.align_corners)
    return (importance_map(logits, form) * 255.0).round().to(torch.uint8)
