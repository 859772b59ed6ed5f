"""Prototype denoising of labels and the loss that bears what noise is left (ProDA; Zhang et al., CVPR 2021).

Symbols: N images, C classes, (H, W) crop, (h, w) features.
"""

import math

import torch.nn.functional as F
from torch import Tensor

__all__ = ["assignment_logits", "denoised_labels", "symmetric_loss"]

# A distance of 0 has a gradient without bound; a class without a prototype is as far away as can be told from others.
NEAREST, FURTHEST = 1e-3, 1e4
# What stands for the logarithm of 0 in the reverse cross-entropy; the authors' value.
LOG_ZERO = math.log(1e-4)


def assignment_logits(squared_distances: Tensor, temperature: float) -> Tensor:
    """Minus distances over the temperature: the softmax of it says how much a feature belongs to each prototype.

    Args:
        squared_distances: (N, C, h, w), infinite for classes without a prototype.
        temperature: in the features' unit.
    """
    return -squared_distances.clamp(NEAREST**2, FURTHEST**2).sqrt() / temperature


def denoised_labels(probs: Tensor, assignment: Tensor, *, align_corners: bool = False) -> Tensor:
    """The likeliest class once probabilities are multiplied by how much the features belong to its prototype.

    Args:
        probs: (N, C, H, W), of the network whose labels are in doubt.
        assignment: (N, C, h, w), summing to 1 over classes.
        align_corners: how the network's maps lie on the crop.

    Returns:
        (N, H, W) int64.
    """
    hw = (int(probs.shape[2]), int(probs.shape[3]))
    weights = F.interpolate(assignment, size=hw, mode="bilinear", align_corners=align_corners)
    return (weights * probs).max(dim=1).indices  # several times faster than argmax along a strided dimension


def symmetric_loss(
    log_probs: Tensor, labels: Tensor, class_weights: Tensor, *, forwards: float, backwards: float
) -> Tensor:
    """Cross-entropy and reverse cross-entropy, each at its weight; mean over all pixels, scalar.

    The reverse one takes the label for the prediction: -log 1e-4 times the probability of all other classes. It is
    bounded, and a wrong label does not lead it far.

    Args:
        log_probs: (N, C, H, W).
        labels: (N, H, W) train ids, of every pixel.
        class_weights: (C,).
        forwards: weight of the cross-entropy.
        backwards: weight of the reverse one.
    """
    own = log_probs.gather(1, labels[:, None])[:, 0]
    losses = -forwards * own - backwards * LOG_ZERO * (1 - own.exp())
    return (class_weights[labels] * losses).mean()
