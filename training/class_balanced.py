"""Class-balanced pseudo-labels (Zou et al., "CBST", ECCV 2018): of every class its surest pixels, however sure.

A single threshold would keep roads and lose poles. Each class has its own, at which a share of the pixels predicted as
it are kept; a pixel's label is then the class that is farthest above its own threshold, which need not be the one
predicted, and where none is above, the pixel is ignored.
"""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.command import progress
from runtime.files import write_json
from runtime.images import write_png
from runtime.labels import IGNORE_INDEX
from training.checkpoint import NetworkSpec
from training.config import PseudoLabelConfig
from training.data.frames import Frames
from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.pseudo_labels import PseudoLabels, frame_probs

__all__ = ["balanced_labels", "class_thresholds", "make_balanced_labels"]

# One pixel in so many counts for the thresholds, as in the authors' code.
SAMPLED = 4
# Threshold of a class that nothing was predicted as: it then labels nothing.
NEVER = 2.0


@torch.no_grad()
def make_balanced_labels(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    labels: PseudoLabels,
    config: PseudoLabelConfig,
    compute: Compute,
    *,
    share: float,
) -> None:
    """Write class-balanced labels of all frames that have none yet; two passes over the frames.

    Args:
        network: in evaluation mode.
        spec: how it is fed, and the size it sees at scale 1.
        frames: N target frames.
        labels: where they go; the thresholds are kept beside them, so that an interrupted pass goes on with the same.
        config: scales, and whether to look at the mirrored frame too.
        compute: device and precision.
        share: of the pixels predicted as a class, those that are kept.
    """
    labels.folder.mkdir(parents=True, exist_ok=True)
    mine = compute.world.share(range(len(frames)))
    missing = [index for index in mine if not labels.path(index).is_file()]
    path = labels.folder.with_suffix(".thresholds.json")
    frame_input = spec.frame_input().to(compute.device)

    def probs(index: int) -> Tensor:
        frame = torch.from_numpy(frames.image(index)).to(compute.device)[None]
        with compute.autocast():
            return frame_probs(
                network,
                frame_input,
                frame,
                network_hw=spec.network_hw,
                scales=config.scales,
                mirror=config.mirror,
            )

    thresholds = _read_thresholds(path)
    if thresholds is None:
        surest = [_confidences(probs(index)) for index in progress(mine, title="thresholds", unit="frame")]
        gathered = [one for part in compute.world.gather(surest) for one in part]
        thresholds = class_thresholds(gathered, share, spec.space.num_classes)
        if compute.world.is_first:
            write_json(path, thresholds.tolist())
    for index in progress(missing, title="balanced labels", unit="frame"):
        label = balanced_labels(probs(index), thresholds.to(compute.device))
        write_png(labels.path(index), label[0].cpu().numpy())
    compute.world.wait()


def class_thresholds(
    predictions: list[tuple[NDArray[np.uint8], NDArray[np.float32]]], share: float, num_classes: int
) -> Tensor:
    """The confidence at which a share of the pixels predicted as a class are kept, (num_classes,).

    Args:
        predictions: of each frame, the class predicted at some pixels and its probability, both (n,).
        share: kept of each class; at least one pixel is.
        num_classes: C.
    """
    labels = np.concatenate([label for label, _ in predictions])
    confidences = np.concatenate([confidence for _, confidence in predictions])
    thresholds = np.full(num_classes, NEVER, dtype=np.float32)
    for train_id in np.unique(labels):
        falling = np.sort(confidences[labels == train_id])[::-1]
        thresholds[train_id] = falling[max(0, int(share * len(falling)) - 1)]
    return torch.from_numpy(thresholds)


def balanced_labels(probs: Tensor, thresholds: Tensor) -> Tensor:
    """Labels (N, H, W) uint8 of probabilities (N, C, H, W): the class farthest above its threshold (C,), else 255."""
    ratio, labels = (probs / thresholds[None, :, None, None]).max(dim=1)
    return torch.where(ratio >= 1, labels, IGNORE_INDEX).to(torch.uint8)


def _confidences(probs: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    confidence, labels = probs.flatten(2)[..., ::SAMPLED].max(dim=1)
    return labels[0].to(torch.uint8).cpu().numpy(), confidence[0].float().cpu().numpy()


def _read_thresholds(path: Path) -> Tensor | None:
    return torch.tensor(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
