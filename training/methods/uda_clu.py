"""UDAClu: adaptation by orthogonal and clustered embeddings (Toldo et al., WACV 2021).

Not source-free. Beside source labels and maximum squares on the target, the features of both domains are drawn to
common centroids of their predicted classes, centroids are driven apart, each feature is to be like one centroid alone,
and centroids are to have channels that are either strong or silent. Forms and weights are those of the authors' code,
which takes classes of source features too from predictions. Theirs are the features of the last stage; these are the
ones the network gives, of DeepLabV2 the stage before.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from training.losses.prototypes import class_prototypes, feature_labels
from training.methods.max_square import image_weighted_square_loss
from training.methods.method import Setting
from training.methods.parts.source_method import Seen, SourceMethod, SourceMethodConfig
from training.views.batch import TargetBatch

__all__ = ["UdaClu", "UdaCluConfig", "centroid_distance", "orthogonality_loss", "sparsity_loss", "spread_loss"]


class UdaCluConfig(SourceMethodConfig):
    """UDAClu; the weights are the authors' for GTA5 and a ResNet-101."""

    name: Literal["uda_clu"]
    clustering: NonNegativeFloat = 0.02
    orthogonality: NonNegativeFloat = 2.0
    sparsity: NonNegativeFloat = 0.5
    square: NonNegativeFloat = 0.1


class UdaClu(SourceMethod):
    """Source labels, maximum squares, and three terms on features; see the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: UdaCluConfig, setting: Setting) -> None:
        super().__init__(setting)
        self.config, self.num_classes = config, setting.num_classes

    def terms(self, source: Seen, target: Seen, _batch: TargetBatch) -> dict[str, Tensor]:
        """`clustering`, `orthogonality`, `sparsity` and `square`."""
        cells = [self._cells(seen) for seen in (source, target)]
        features, labels = (torch.cat(both) for both in zip(*cells, strict=True))
        centroids = class_prototypes(features.T[None, :, None], labels[None, None], self.num_classes)[0]
        num_source = len(cells[0][1])
        within = sum(
            centroid_distance(features[part], labels[part], centroids)
            for part in (slice(num_source), slice(num_source, None))
        )
        # A class that neither domain shows has no centroid.
        centroids = centroids[torch.bincount(labels, minlength=self.num_classes) > 0]
        config = self.config
        return {
            "clustering": config.clustering * (within + spread_loss(centroids)),
            "orthogonality": config.orthogonality * orthogonality_loss(features, centroids),
            "sparsity": config.sparsity * sparsity_loss(centroids),
            "square": config.square * image_weighted_square_loss(target.log_probs),
        }

    def _cells(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Features (M, D) of all cells and their predicted classes, (M,)."""
        logits, features = seen.output
        hw, features_hw = seen.log_probs.shape[2:], features.shape[2:]
        labels = feature_labels(
            logits.detach(), (hw[0], hw[1]), (features_hw[0], features_hw[1]), align_corners=self.student.align_corners
        )
        return features.float().flatten(2).transpose(1, 2).flatten(0, 1), labels.flatten()


def centroid_distance(features: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Mean absolute difference of the features of a class to its centroid, mean over the classes they have; scalar.

    Args:
        features: (M, D).
        labels: (M,) rows of `centroids`.
        centroids: (K, D).
    """
    differences = (features - centroids[labels]).abs().mean(dim=1)
    counts = torch.bincount(labels, minlength=len(centroids)).to(differences)
    totals = torch.zeros_like(counts).index_add(0, labels, differences)
    return (totals / counts.clamp(min=1)).sum() / (counts > 0).sum()


def spread_loss(centroids: Tensor) -> Tensor:
    """Minus the mean absolute difference of centroids (K, D) to one another; scalar, 0 for a single one."""
    num = len(centroids)
    total = (centroids[:, None] - centroids).abs().mean(dim=2).sum()
    return -total / max(num * (num - 1), 1)


def orthogonality_loss(features: Tensor, centroids: Tensor) -> Tensor:
    """Entropy of the softmax of inner products of features (M, D) with centroids (K, D), over K, mean; scalar.

    Nothing is normalised and the temperature is 1, as in the authors' code.
    """
    log_probs = (features @ centroids.T).log_softmax(dim=1)
    return -(log_probs.exp() * log_probs).mean()


def sparsity_loss(centroids: Tensor) -> Tensor:
    """Minus the mean square of channels of centroids (K, D), as shares of the strongest, less 1/2; scalar."""
    strongest = centroids.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(centroids.dtype).tiny)
    return -(centroids / strongest - 0.5).square().mean()
