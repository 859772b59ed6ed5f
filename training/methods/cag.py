"""CAG-UDA: category anchors (Zhang et al., NeurIPS 2019), with labelled source crops; our reading, from memory.

A category's anchor is the mean feature of its source pixels. Target pixels that are clearly nearer to one anchor than
to the next are active: they are labelled by it. Features, of source pixels and active ones, are drawn to the anchors.

The published anchors are fixed for a stage, by a pass over all source images, of which there are three; here they are
running means of the student's features, and the first steps only gather them. The published margin is a distance of its
features; here it is a share of the distance between anchors, which any network's features have.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from training.labels.class_weights import RareClassWeights
from training.losses.anchors import active_labels, pull_loss, squared_distances
from training.losses.prototypes import class_prototypes
from training.losses.running_means import RunningMeans
from training.losses.terms import importance_weighted_loss, nearest_labels
from training.methods.class_balanced import Share
from training.methods.method import Needs, Setting
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.source_loss import source_loss
from training.methods.pseudo_label import LabelTermConfig
from training.networks.feature_channels import feature_channels
from training.networks.network import NetworkOutput
from training.views.batch import TargetBatch

__all__ = ["CategoryAnchors", "CategoryAnchorsConfig"]


class CategoryAnchorsConfig(LabelTermConfig):
    """Category anchors; `pseudo_label` is the weight of active pixels. All values are our reading."""

    name: Literal["cag"]
    pull: NonNegativeFloat = 0.1
    """Weight of the squared distance to anchors, a mean over channels."""
    margin: NonNegativeFloat = 1.0
    """How much nearer the nearest anchor has to be; see `training.losses.anchors.active_labels`. At 1 as much as the
    anchor itself is."""
    start: Share = 0.1
    """Share of the steps before pixels become active."""
    momentum: Share = 0.99
    """Of the anchors."""

    @property
    def needs(self) -> Needs:
        """Source crops."""
        return replace(super().needs, source=True)


class CategoryAnchors(StudentMethod):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: CategoryAnchorsConfig, setting: Setting) -> None:
        self.config, compute = config, setting.compute
        self._num_steps, self._first = 0, config.start * setting.iterations
        size = feature_channels(setting.network)
        self._anchors = RunningMeans(setting.num_classes, size, momentum=config.momentum, compute=compute)
        super().__init__(setting)
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=compute.device, world=compute.world
        )

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `source` and `source_pull`; with active pixels also `pseudo_label` and `pull`."""
        assert batch.source is not None
        self._clean = batch.clean
        source, target = self._student(batch.source.images), self._student(batch.student)
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        features = source.features.float()
        cells = nearest_labels(batch.source.labels, (int(features.shape[2]), int(features.shape[3])))
        anchors = self._anchors
        anchors.update_by_images(class_prototypes(features.detach(), cells, len(anchors.times)))
        terms = {
            "source": source_loss(self._student.log_probs(source, hw), batch.source.labels),
            "source_pull": self.config.pull * pull_loss(features, cells, anchors.means),
        }
        if self._num_steps >= self._first:
            terms |= self._active_terms(target, hw)
        return {**terms, **self._student.likeness(batch.student, target)}

    def _active_terms(self, target: NetworkOutput, hw: tuple[int, int]) -> dict[str, Tensor]:
        anchors, features = self._anchors, target.features.float()
        distances = squared_distances(features.detach(), anchors.means, anchors.is_known)
        cells = active_labels(distances, anchors.means, self.config.margin)
        labels = nearest_labels(cells, hw)
        log_probs, everywhere = self._student.log_probs(target, hw), torch.ones(labels.shape, device=labels.device)
        loss = importance_weighted_loss(log_probs, labels, everywhere, self.class_weights.update(labels))
        return {
            "pseudo_label": self.config.pseudo_label * loss,
            "pull": self.config.pull * pull_loss(features, cells, anchors.means),
        }

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any."""
        super().after_step()
        self._num_steps += 1

    def state(self) -> dict[str, Tensor]:
        """The anchors, the running class weights and the number of steps."""
        own = {"steps": torch.tensor(self._num_steps), "often": self.class_weights.often}
        return {**own, **self._anchors.state("anchors")}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._num_steps = int(state["steps"])
        self.class_weights.often = state["often"].to(self.class_weights.often)
        self._anchors.load_state("anchors", state)
