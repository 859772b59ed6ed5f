"""Class-balanced pseudo-labels (Zou et al., "CBST", ECCV 2018): of every class its surest pixels, however sure.

A single threshold would keep roads and lose poles. Each class has its own, at which a share of the pixels predicted as
it are kept; a pixel's label is then the class that is farthest above its own threshold, which need not be the one
predicted, and where none is above, the pixel is ignored. Methods differ in the shares: see `Shares`.
"""

import json
from dataclasses import dataclass
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
from training.labels.looks import Looks, frame_probs
from training.labels.pseudo_labels import PseudoLabels
from training.networks.network import SegmentationNetwork

__all__ = [
    "Shares",
    "balanced_labels",
    "class_shares",
    "class_thresholds",
    "confidence_counts",
    "make_balanced_labels",
]

# One pixel in so many counts for the thresholds, as in the authors' code.
SAMPLED = 4
# Threshold of a class that nothing was predicted as: it then labels nothing.
NEVER = 2.0
# Bit patterns of half-precision numbers without a sign, which are in the order of the numbers.
LEVELS = 2**15
# Probabilities of frames that are kept between the two passes; frames beyond it are predicted twice.
KEPT_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Shares:
    """Which pixels are labelled: `share` of those predicted as a class, and the surest `image_share` of each image.

    With `rarity` r a class has its own share, `share * (m / n)^r` and at most `most`, where n is how many pixels are
    predicted as it and m the median of that over the classes that are predicted at all.
    """

    share: float
    most: float = 1.0
    rarity: float = 0.0
    image_share: float = 0.0


@torch.no_grad()
def make_balanced_labels(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Frames,
    labels: PseudoLabels,
    config: PseudoLabelConfig,
    compute: Compute,
    *,
    shares: Shares,
) -> None:
    """Write class-balanced labels of all frames that have none yet; two passes over the frames.

    What the first predicts the second reads again, as far as memory allows.

    Args:
        network: in evaluation mode.
        spec: how it is fed, and the size it sees at scale 1.
        frames: N target frames.
        labels: where they go; the thresholds are kept beside them, so that an interrupted pass goes on with the same.
        config: scales, and whether to look at the mirrored frame too.
        compute: device and precision.
        shares: which pixels are labelled.
    """
    labels.folder.mkdir(parents=True, exist_ok=True)
    mine = compute.world.share(range(len(frames)))
    missing = [index for index in mine if not labels.path(index).is_file()]
    path = labels.folder.with_suffix(".thresholds.json")
    frame_input, looks = spec.frame_input().to(compute.device), Looks(config.scales, config.mirror)

    def probs(index: int) -> Tensor:
        frame = torch.from_numpy(frames.image(index)).to(compute.device)[None]
        with compute.autocast():
            found = frame_probs(network, frame_input, frame, looks, network_hw=spec.network_hw)
        # As they are kept, so that labels do not depend on which frames were.
        return found.half()

    kept: dict[int, Tensor] = {}

    def first_look(index: int) -> Tensor:
        found = probs(index)
        if index in still_missing and (len(kept) + 1) * found.nbytes <= KEPT_BYTES:
            kept[index] = found
        return found.float()

    still_missing = set(missing)
    thresholds = _read_thresholds(path)
    if thresholds is None:
        counts = torch.zeros((spec.label_space.num_classes, LEVELS), dtype=torch.int64, device=compute.device)
        for index in progress(mine, title="thresholds", unit="frame"):
            counts += confidence_counts(first_look(index))
        thresholds = class_thresholds(compute.world.sum(counts).cpu().numpy(), shares)
        if compute.world.is_first:
            write_json(path, thresholds.tolist())
    for index in progress(missing, title="balanced labels", unit="frame"):
        found = kept.pop(index) if index in kept else probs(index)
        label = balanced_labels(found.float(), thresholds.to(compute.device), image_share=shares.image_share)
        write_png(labels.path(index), label[0].cpu().numpy())
    compute.world.wait()


def confidence_counts(probs: Tensor) -> Tensor:
    """How many pixels are predicted as each class with each confidence, of one in `SAMPLED`.

    Counts of any number of frames have one size; the confidences of 400 frames of 2048x1024 would take a gigabyte.

    Args:
        probs: (1, C, H, W), rounded to half precision, of any type.

    Returns:
        (C, LEVELS) int64, by the bit pattern of the confidence in half precision.
    """
    confidence, labels = probs.flatten(2)[..., ::SAMPLED].max(dim=1)
    # Without the sign bit, which a NaN may have.
    levels = confidence.half().view(torch.int16).long() & (LEVELS - 1)
    num_classes = probs.shape[1]
    return torch.bincount((labels * LEVELS + levels).flatten(), minlength=num_classes * LEVELS).view(num_classes, -1)


def class_thresholds(counts: NDArray[np.int64], shares: Shares) -> Tensor:
    """The confidence at which its share of the pixels predicted as a class are kept, (C,).

    Args:
        counts: (C, LEVELS) of `confidence_counts`, summed over frames.
        shares: kept of each class; at least one pixel is.
    """
    totals, falling = counts.sum(axis=1), np.arange(LEVELS, dtype=np.uint16).view(np.float16)[::-1]
    thresholds = np.full(len(counts), NEVER, dtype=np.float32)
    kept = class_shares(totals, shares)
    for train_id in np.flatnonzero(totals):
        last = max(0, int(kept[train_id] * totals[train_id]) - 1)
        num_from_above = counts[train_id, ::-1].cumsum()
        thresholds[train_id] = falling[np.searchsorted(num_from_above, last, side="right")]
    return torch.from_numpy(thresholds)


def class_shares(counts: NDArray[np.int64], shares: Shares) -> NDArray[np.float64]:
    """The share of each class, (C,), of how many pixels are predicted as it, (C,); see `Shares`."""
    predicted = counts[counts > 0]
    median = np.median(predicted) if len(predicted) else 1.0
    scaled: NDArray[np.float64] = shares.share * (median / counts.clip(min=1)) ** shares.rarity
    return scaled.clip(max=shares.most)


def balanced_labels(probs: Tensor, thresholds: Tensor, *, image_share: float = 0.0) -> Tensor:
    """Labels of probabilities: the class farthest above its threshold, else 255.

    Args:
        probs: (N, C, H, W).
        thresholds: (C,).
        image_share: of each image's pixels, the surest; where no class is above its threshold they are labelled too,
            as what they are predicted as.

    Returns:
        (N, H, W) uint8.
    """
    ratio, labels = (probs / thresholds[None, :, None, None]).max(dim=1)
    labels = torch.where(ratio >= 1, labels, IGNORE_INDEX)
    confidence, predicted = probs.max(dim=1)
    num_surest = int(image_share * confidence[0].numel())
    if num_surest > 0:
        least = confidence.flatten(1).topk(num_surest, dim=1).values[:, -1]
        is_left = (labels == IGNORE_INDEX) & (confidence >= least[:, None, None])
        labels = torch.where(is_left, predicted, labels)
    return labels.to(torch.uint8)


def _read_thresholds(path: Path) -> Tensor | None:
    return torch.tensor(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
