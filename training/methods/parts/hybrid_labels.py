"""What BiCL and its source-free port share: labels of target crops, and the terms they are learnt by.

The contrast feature is `NetworkOutput.features` through a linear projection to 256 dimensions, which learns; the
published 57.1 names none, and the authors' code has the branches of its classifier, which not every network has.
Class means are of features before the projection, which is linear: they never fall behind it.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from training.labels.class_weights import RareClassWeights
from training.losses.bidirectional import dynamic_labels, hybrid_labels
from training.losses.prototypes import class_prototypes, prototype_similarity
from training.losses.running_means import RunningMeans
from training.losses.terms import importance_weighted_loss, information_maximisation_loss, nearest_labels
from training.methods.class_balanced import RoundsConfig, Share
from training.methods.method import Setting
from training.networks.feature_channels import feature_channels
from training.networks.projection import Projection

__all__ = ["HybridConfig", "HybridLabels", "Labels"]

DIMENSIONS = 256


class HybridConfig(RoundsConfig):
    """BiCL. Weights are the authors'; the means' momentum and the threshold, which no one gives, are our reading.

    Static labels are CBST's alone, of a constant share, which is about the density that the paper reports; the
    authors' are the union of a tenth of each class and a tenth of each image, in ten rounds.
    """

    share: Share = 0.2
    share_step: Share = 0.0
    entropy: NonNegativeFloat = 0.4
    """Times the mean entropy, in nats."""
    forwards: NonNegativeFloat = 0.1
    """Weight of the contrast of target pixels with source prototypes."""
    backwards: NonNegativeFloat = 0.1
    """Weight of the contrast of source pixels with target prototypes."""
    contrast_start: Share = 0.1
    """Share of the steps before contrast and dynamic labels begin: the authors' first round."""
    threshold: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.8
    """Cosine to the nearest prototype above which a pixel gets its label."""
    momentum: Share = 0.99
    """Of class means."""


class Labels(NamedTuple):
    """Labels of target crops, (N, H, W), and the same at the size of features, (N, h, w)."""

    pixels: Tensor
    cells: Tensor


class HybridLabels:
    """Labels crops, and keeps class means of the target.

    Args:
        config: shares and weights.
        setting: what the method is built from.
    """

    def __init__(self, config: HybridConfig, setting: Setting) -> None:
        self.config, compute = config, setting.compute
        self.num_steps, self._first = 0, config.contrast_start * setting.iterations
        size = feature_channels(setting.network)
        self.projection = Projection(size, DIMENSIONS).to(compute.device)
        self.means = RunningMeans(setting.num_classes, size, momentum=config.momentum, compute=compute)
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=compute.device, world=compute.world
        )

    @property
    def has_begun(self) -> bool:
        """Whether there are dynamic labels and contrast at this step."""
        return self.num_steps >= self._first

    def count_step(self) -> None:
        """Called after each step."""
        self.num_steps += 1

    @torch.no_grad()
    def label(self, features: Tensor, static: Tensor, prototypes: Tensor) -> Labels:
        """Hybrid labels of target crops, which also move the target's means.

        Args:
            features: (N, D, h, w), of the student.
            static: labels (N, H, W).
            prototypes: (N, C, D), calibrated, before the projection; zero rows mark absent classes.
        """
        cells_hw, pixels_hw = (int(features.shape[2]), int(features.shape[3])), (static.shape[1], static.shape[2])
        labels = Labels(static, nearest_labels(static, cells_hw))
        if self.has_begun:
            similarity = prototype_similarity(self.projection.maps(features), self.projection(prototypes))
            dynamic = dynamic_labels(similarity, self.config.threshold)
            labels = Labels(
                hybrid_labels(nearest_labels(dynamic, pixels_hw), static), hybrid_labels(dynamic, labels.cells)
            )
        self.means.update_by_images(class_prototypes(features, labels.cells, len(self.means.times)))
        return labels

    def terms(self, log_probs: Tensor, labels: Tensor, *, weight: float, entropy: float) -> dict[str, Tensor]:
        """The terms `pseudo_label` and `entropy` of target crops, at these weights."""
        everywhere = torch.ones(labels.shape, device=labels.device)
        loss = importance_weighted_loss(log_probs, labels, everywhere, self.class_weights.update(labels))
        return {"pseudo_label": weight * loss, "entropy": entropy * information_maximisation_loss(log_probs)}

    def state(self) -> dict[str, Tensor]:
        """Means, running class weights and the number of steps; the projection is a head."""
        own = {"steps": torch.tensor(self.num_steps), "often": self.class_weights.often}
        return {**own, **self.means.state("target")}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.num_steps = int(state["steps"])
        self.class_weights.often = state["often"].to(self.class_weights.often)
        self.means.load_state("target", state)
