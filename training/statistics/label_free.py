"""Scores of a network on unlabelled frames, and the share of target statistics they choose.

Each score alone can be fooled (entropy by collapse to one class), so several are logged.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from runtime.errors import TrainingError
from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import Statistics, blend, load_statistics

__all__ = ["LabelFreeScores", "best_share", "choose_share", "score"]

SHARES = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
SAMPLED_PIXELS = 100
# Of the largest mutual information over all shares. On six pairs the share that cost chose had 0.94 or more of it; a
# student that named nearly every pixel a pavement had 0.18, at the share at which it was surest of all.
LEAST_INFORMATION = 0.9


@dataclass(frozen=True, slots=True)
class LabelFreeScores:
    """What can be said of predictions without labels.

    `entropy`: mean, in nats; lower is surer. `neighbourhood_density`: soft neighbourhood density (Saito et al.,
    ICCV 2021), higher is better clustered. `mirror_agreement`: share of pixels that keep their label when the
    frame is mirrored. `num_classes`: classes that win at least one pixel in a thousand. `mutual_information`: of
    pixels and classes (Bridle et al., NIPS 1991), in nats: the entropy of how frequent classes are, by probabilities
    over all pixels, less `entropy`; it falls where one class swallows the others, and where all are equally likely.
    """

    entropy: float
    neighbourhood_density: float
    mirror_agreement: float
    num_classes: int
    mutual_information: float

    def as_dict(self) -> dict[str, float]:
        """The scores by name, rounded for people."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@torch.no_grad()
def score(network: SegmentationNetwork, images: Sequence[Tensor], compute: Compute) -> LabelFreeScores:
    """Label-free scores of a network, put in evaluation mode, on batches (N, 3, H, W) of network input."""
    network.eval()
    entropies, densities, agreements, frequencies, counts = [], [], [], [], torch.zeros(1)
    for image in images:
        with compute.autocast():
            logits, mirrored = network.logits(image).float(), network.logits(image.flip(3)).float().flip(3)
        log_probs = logits.log_softmax(dim=1)
        labels = logits.argmax(dim=1)
        entropies.append(-(log_probs.exp() * log_probs).sum(dim=1).mean())
        agreements.append((labels == mirrored.argmax(dim=1)).float().mean())
        densities.append(_neighbourhood_density(log_probs.exp()))
        frequencies.append(log_probs.exp().mean(dim=(0, 2, 3)))
        counts = counts + torch.bincount(labels.flatten().cpu(), minlength=logits.shape[1])
    entropy = torch.stack(entropies).mean()
    class_entropy = torch.special.entr(torch.stack(frequencies).mean(dim=0)).sum()
    return LabelFreeScores(
        entropy=float(entropy),
        neighbourhood_density=float(torch.stack(densities).mean()),
        mirror_agreement=float(torch.stack(agreements).mean()),
        num_classes=int((counts > 0.001 * counts.sum()).sum()),
        mutual_information=float(class_entropy - entropy),
    )


def choose_share(
    network: SegmentationNetwork, images: Sequence[Tensor], *, source: Statistics, target: Statistics, compute: Compute
) -> tuple[float, dict[float, LabelFreeScores]]:
    """The share of target statistics with the best label-free scores, and the scores of all shares tried.

    Entropy falls with the share even where accuracy does not, and agreement with the mirrored frame falls with it
    where target statistics are wrong for some frames; each relative to its value at share 0, their sum has its
    minimum where neither is bought with the other. Both are lowest for a network that names every pixel the same, as a
    student trained by batch can be with source statistics, which it has left behind; shares at which predictions tell
    little of pixels are left out for it. The network is left with its source statistics.

    Raises:
        TrainingError: predictions are finite at no share.
    """
    scores = {}
    for share in SHARES:
        load_statistics(network, blend(source, target, share))
        scores[share] = score(network, images, compute)
    load_statistics(network, source)
    return best_share(scores), scores


def best_share(scores: Mapping[float, LabelFreeScores]) -> float:
    """The share with the smallest sum of entropy and mirror disagreement, each relative to share 0.

    Of those that have at least `LEAST_INFORMATION` of the largest mutual information; share 0, or the lowest whose
    predictions are finite, is what others are relative to even where it has less.

    Raises:
        TrainingError: predictions are finite at no share.
    """
    finite = {share: found for share, found in scores.items() if math.isfinite(found.mutual_information)}
    if not finite:
        raise TrainingError(
            "predictions of target frames are not finite with any share of target statistics; with precision: fp16 "
            "logits may be too large for it, then set bf16 or fp32, else the network is damaged"
        )
    start, most = finite[min(finite)], max(found.mutual_information for found in finite.values())

    def cost(share: float) -> float:
        disagreement = (1.0 - finite[share].mirror_agreement) / max(1.0 - start.mirror_agreement, 1e-6)
        return finite[share].entropy / max(start.entropy, 1e-6) + disagreement

    return min(
        (share for share, found in finite.items() if found.mutual_information >= LEAST_INFORMATION * most), key=cost
    )


def _neighbourhood_density(probs: Tensor) -> Tensor:
    """Mean entropy of each pixel's similarity distribution over other pixels, (N, C, h, w) -> scalar."""
    vectors = torch.nn.functional.normalize(probs.flatten(2), dim=1)
    step = max(1, vectors.shape[2] // SAMPLED_PIXELS)
    vectors = vectors[:, :, ::step]
    similarity = vectors.transpose(1, 2) @ vectors / 0.05
    similarity.diagonal(dim1=1, dim2=2).fill_(float("-inf"))
    log_probs = similarity.log_softmax(dim=2)
    return -(log_probs.exp() * log_probs.clamp(min=-1e4)).sum(dim=2).mean()
