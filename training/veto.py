"""Whether an adapted network is delivered at all, judged without labels: by the classes it no longer predicts.

Learning without labels fails in one way above all: frequent classes take the pixels of rare ones, and predictions
become surer meanwhile, so that entropy and agreement call it progress. Two development runs that ended 2 and 5 points
of mIoU below their start had lost about a third and two thirds of their classes; two that gained, none and one of 17.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.device import Compute
from training.networks.network import SegmentationNetwork

__all__ = ["lost_classes"]

# A class is predicted where it has this share of the pixels, and lost where less than this share of those is left.
PRESENT, LEFT = 0.001, 1 / 3


@torch.no_grad()
def lost_classes(
    start: SegmentationNetwork, adapted: SegmentationNetwork, images: Sequence[Tensor], compute: Compute
) -> tuple[list[int], int]:
    """The classes that one network predicts and the other hardly does any more, and how many the first predicts.

    Args:
        start: in evaluation mode.
        adapted: in evaluation mode.
        images: batches (N, 3, H, W) of network input.
        compute: where and how precisely.
    """
    before, after = (_class_shares(network, images, compute) for network in (start, adapted))
    is_present = before >= PRESENT
    lost = is_present & (after < LEFT * before)
    return lost.nonzero().flatten().tolist(), int(is_present.sum())


def _class_shares(network: SegmentationNetwork, images: Sequence[Tensor], compute: Compute) -> Tensor:
    counts = torch.zeros(1)
    for image in images:
        with compute.autocast():
            logits = network.logits(image)
        counts = counts + torch.bincount(logits.argmax(dim=1).flatten().cpu(), minlength=logits.shape[1])
    return counts / counts.sum()
