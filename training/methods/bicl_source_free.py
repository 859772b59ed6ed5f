"""The source-free port of BiCL (Lee et al., ECCV 2022); our own, the paper has none. See `training.methods.bicl`.

Nothing comes with the source network. Class means of the source are those of its features on target crops, where the
class-balanced labels, with the default settings those of the first round, its surest pixels, say what they show:
gathered in the first steps, then frozen. Both normalise by the batch, so that the student's features are comparable.

Without source images a prototype rho_S of the step is the frozen mean mu_S itself, and full calibration would give
mu_S + (mu_T - mu_S) = mu_T: the target's own mean, with nothing left of the source. Calibration is therefore partial,
rho = mu_S + k (mu_T - mu_S), where k rises from 0 to 1 over the run. The forward loss contrasts target pixels with
rho; the backward loss contrasts, in place of source pixels, the means mu_S with prototypes of the target crops, which
the features learn through. Target labels stand in the place of source labels, at their weight.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.losses.bidirectional import contrast_loss
from training.losses.prototypes import class_prototypes
from training.losses.running_means import RunningMeans
from training.losses.terms import nearest_labels
from training.methods.method import Needs, Setting
from training.methods.parts.hybrid_labels import HybridConfig, HybridLabels
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.student import sums_by_taps
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import use_batch_statistics
from training.statistics.global_batch_norm import by_global_batch
from training.views.batch import TargetBatch

__all__ = ["BiclSourceFree", "BiclSourceFreeConfig", "partly_calibrated"]


class BiclSourceFreeConfig(HybridConfig):
    """BiCL without source data."""

    name: Literal["bicl_source_free"]
    pseudo_label: Annotated[float, Field(ge=0.0)] = 1.0
    contrast_start: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """As with source data; until then the source network's class means are gathered, for which there must be a step."""

    @property
    def needs(self) -> Needs:
        """Labels by rounds, and unchanged crops for the source network."""
        return replace(super().needs, weak=True)


class BiclSourceFree(StudentMethod):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: BiclSourceFreeConfig, setting: Setting) -> None:
        self.config, self._compute, self._frame_input = config, setting.compute, setting.frame_input
        self._num_classes, self._iterations = setting.num_classes, setting.iterations
        self._source = _source_network(setting)
        self._labels = HybridLabels(config, setting)
        size = self._labels.means.means.shape[1]
        self._source_means = RunningMeans(setting.num_classes, size, momentum=1.0, compute=setting.compute)
        super().__init__(setting)
        self.heads = torch.nn.ModuleDict({"projection": self._labels.projection})

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `pseudo_label` and `entropy`; once the means are gathered, `forwards` and `backwards`."""
        assert batch.weak is not None
        self._clean, config, labels = batch.clean, self.config, self._labels
        if not labels.has_begun:
            self._gather(batch.weak, batch.pseudo_labels)
        output = self._student(batch.student)
        features = output.features.float()
        calibration = labels.num_steps / self._iterations
        prototypes = partly_calibrated(self._source_means, labels.means, calibration).expand(len(features), -1, -1)
        found = labels.label(features, batch.pseudo_labels, prototypes)
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        log_probs = self._student.log_probs(output, hw)
        terms = labels.terms(log_probs, found.pixels, weight=config.pseudo_label, entropy=config.entropy)
        if labels.has_begun:
            project = labels.projection
            projected = project.maps(features)
            forwards = contrast_loss(projected, found.cells, project(prototypes))
            backwards = self._backwards(class_prototypes(projected, found.cells, self._num_classes))
            terms |= {"forwards": config.forwards * forwards, "backwards": config.backwards * backwards}
        return {**terms, **self._student.likeness(batch.student, output)}

    @torch.no_grad()
    def _gather(self, weak: Tensor, pseudo_labels: Tensor) -> None:
        """Take the source network's features of unchanged crops into its class means."""
        with self._compute.autocast():
            features = self._source(self._frame_input(weak)).features.float()
        cells = nearest_labels(pseudo_labels, (int(features.shape[2]), int(features.shape[3])))
        self._source_means.update_by_images(class_prototypes(features, cells, self._num_classes))

    def _backwards(self, target_prototypes: Tensor) -> Tensor:
        """Contrast of the source's class means with projected prototypes (N, C, 256) of target crops."""
        num, known = len(target_prototypes), self._source_means.is_known
        pixels = self._labels.projection(self._source_means.means).T[None, :, :, None]
        classes = torch.where(known, torch.arange(self._num_classes, device=known.device), IGNORE_INDEX)
        return contrast_loss(
            pixels.expand(num, -1, -1, -1), classes[None, :, None].expand(num, -1, 1), target_prototypes
        )

    def after_step(self) -> None:
        """Show the student its clean crops, where there are any."""
        super().after_step()
        self._labels.count_step()

    def state(self) -> dict[str, Tensor]:
        """Class means of both domains, and what labels depend on; the source network never changes."""
        return {**self._labels.state(), **self._source_means.state("source")}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._labels.load_state(state)
        self._source_means.load_state("source", state)


def partly_calibrated(source: RunningMeans, target: RunningMeans, share: float) -> Tensor:
    """Source means (C, D), that share of the way to the target's; zero rows where the source's are unknown."""
    moved = torch.lerp(source.means, target.means, share)
    return torch.where((source.is_known & target.is_known)[:, None], moved, source.means)


def _source_network(setting: Setting) -> SegmentationNetwork:
    """A frozen copy, normalised as the student is."""
    source = setting.frozen_network()
    if not setting.has_fixed_statistics:
        use_batch_statistics(source)
    source.sum_by_taps(sums_by_taps(setting))
    return by_global_batch(source, setting.compute)
