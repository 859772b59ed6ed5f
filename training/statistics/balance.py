"""Class frequencies taken out of a network's predictions, by its classifier's offsets alone.

A network learns from its labels how frequent each class is, and where it is unsure, as it is in another domain, it
falls back on the frequent ones: rare classes are lost first, and mean IoU counts them all alike. What it predicts on
target frames says how far that went. Logit adjustment (Menon et al., ICLR 2021, for frequencies of labels) divides the
probabilities by a power of the frequencies; here they are those of the predictions, so that no label is needed, and the
division is an offset of the logits, which costs a vehicle nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.device import Compute
from training.networks.network import SegmentationNetwork

__all__ = ["balance_classes", "balancing_offsets", "predicted_frequencies"]

# A class that is never predicted is not raised without bound.
SMALLEST = 1e-5


@torch.no_grad()
def predicted_frequencies(network: SegmentationNetwork, images: Sequence[Tensor], compute: Compute) -> Tensor:
    """Mean probability of each class, (C,), of a network in evaluation mode on batches (N, 3, H, W) of its input."""
    means = []
    for image in images:
        with compute.autocast():
            logits = network.logits(image)
        means.append(logits.float().softmax(dim=1).mean(dim=(0, 2, 3)))
    return torch.stack(means).mean(dim=0)


def balancing_offsets(frequencies: Tensor, strength: float) -> Tensor:
    """What divides probabilities by a power of class frequencies when it is added to logits; both (C,)."""
    return -strength * frequencies.clamp(min=SMALLEST).log()


@torch.no_grad()
def balance_classes(
    network: SegmentationNetwork, images: Sequence[Tensor], compute: Compute, *, strength: float
) -> Tensor:
    """Divide a network's probabilities by a power of the class frequencies it predicts itself, in place.

    Args:
        network: in evaluation mode.
        images: batches (N, 3, H, W) of network input.
        compute: where and how precisely.
        strength: the power; 0 changes nothing, 1 makes all classes about equally frequent.

    Returns:
        What was added to the logits, (C,).

    Raises:
        ConfigError: the network has no classifier with offsets to move.
    """
    offsets = balancing_offsets(predicted_frequencies(network, images, compute), strength)
    bias = _classifier_bias(network, images[0][:1], num_classes=len(offsets))
    bias += offsets.to(bias)
    return offsets


def _classifier_bias(network: SegmentationNetwork, image: Tensor, *, num_classes: int) -> Tensor:
    """Offsets (C,) that, moved, move the logits by as much.

    Several layers may have as many outputs as there are classes; the last one that passes the test is taken.
    """
    head = network.get_submodule(network.head) if network.head else network
    expected = network.logits(image).float()
    for layer in reversed(list(head.modules())):
        if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.bias is None or len(layer.bias) != num_classes:
            continue
        kept = layer.bias.clone()
        layer.bias += 1.0
        moved = network.logits(image).float() - expected
        layer.bias.copy_(kept)
        if torch.allclose(moved, torch.ones_like(moved), atol=1e-2):
            return layer.bias
    raise ConfigError(
        "adaptation.balance moves the offsets (bias) of the classifier, and the network has none of "
        f"{num_classes} whose change shows in its logits; set adaptation.balance to 0"
    )
