"""BiCL: bi-directional contrastive learning (Lee et al., ECCV 2022), with labelled source crops.

Target pixels are drawn to source prototypes and source pixels to target prototypes; target labels are those of the
nearest calibrated source prototype where it is near enough (dynamic), else class-balanced ones of the last round
(static). Calibration adds to a source prototype how far the running means of the two domains are apart.

The definition is the paper's: the released code has neither calibration nor dynamic labels in use. It also has a stem
for each domain; here there is one, and each domain is normalised by its own batch, in a forward pass of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from training.losses.bidirectional import bidirectional_losses
from training.losses.prototypes import class_prototypes
from training.losses.running_means import RunningMeans
from training.losses.terms import information_maximisation_loss, nearest_labels
from training.methods.method import Needs, Setting
from training.methods.parts.hybrid_labels import HybridConfig, HybridLabels
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.source_loss import source_loss
from training.views.batch import TargetBatch

__all__ = ["Bicl", "BiclConfig", "calibrated"]


class BiclConfig(HybridConfig):
    """BiCL with source data."""

    name: Literal["bicl"]
    pseudo_label: Annotated[float, Field(ge=0.0)] = 0.3
    """Weight of both target terms, labels and entropy, relative to those of the source."""

    @property
    def needs(self) -> Needs:
        """Labels by rounds, and source crops."""
        return replace(super().needs, source=True)


class Bicl(StudentMethod):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: BiclConfig, setting: Setting) -> None:
        self.config, self._num_classes = config, setting.num_classes
        self._labels = HybridLabels(config, setting)
        self._source_means = RunningMeans(
            setting.num_classes, self._labels.means.means.shape[1], momentum=config.momentum, compute=setting.compute
        )
        super().__init__(setting)
        self.heads = torch.nn.ModuleDict({"projection": self._labels.projection})

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """`source`, `source_entropy`, `pseudo_label` and `entropy`; later also `forwards` and `backwards`."""
        assert batch.source is not None
        self._clean, config = batch.clean, self.config
        source, target = self._student(batch.source.images), self._student(batch.student)
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        source_features, features = source.features.float(), target.features.float()
        cells = nearest_labels(batch.source.labels, (int(features.shape[2]), int(features.shape[3])))
        prototypes = class_prototypes(source_features.detach(), cells, self._num_classes)
        labels = self._labels.label(
            features, batch.pseudo_labels, calibrated(prototypes, self._source_means, self._labels.means)
        )
        self._source_means.update_by_images(prototypes)
        log_probs = self._student.log_probs(source, hw)
        terms = {
            "source": source_loss(log_probs, batch.source.labels),
            "source_entropy": config.entropy * information_maximisation_loss(log_probs),
            **self._labels.terms(
                self._student.log_probs(target, hw),
                labels.pixels,
                weight=config.pseudo_label,
                entropy=config.entropy * config.pseudo_label,
            ),
        }
        if self._labels.has_begun:
            project = self._labels.projection.maps
            forwards, backwards = bidirectional_losses(
                project(source_features), cells, project(features), labels.cells, self._num_classes
            )
            terms |= {"forwards": config.forwards * forwards, "backwards": config.backwards * backwards}
        return {**terms, **self._student.likeness(batch.student, target)}

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any."""
        super().after_step()
        self._labels.count_step()

    def state(self) -> dict[str, Tensor]:
        """Class means of both domains, and what labels depend on."""
        return {**self._labels.state(), **self._source_means.state("source")}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._labels.load_state(state)
        self._source_means.load_state("source", state)


def calibrated(prototypes: Tensor, source: RunningMeans, target: RunningMeans) -> Tensor:
    """Source prototypes (N, C, D) moved by how far the target's running means are from the source's.

    Zero rows, of absent classes, stay so; a class of which either mean is unknown yet is not moved.
    """
    drift = torch.where((source.is_known & target.is_known)[:, None], target.means - source.means, 0.0)
    is_present = (prototypes != 0).any(dim=2, keepdim=True)
    return torch.where(is_present, prototypes + drift, 0.0)
