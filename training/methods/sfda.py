"""SFDA (Liu, Zhang, Wang, CVPR 2021): a surrogate of it, from memory of the paper.

The published method trains a generator of source-like images by the batch-norm statistics that the source network
keeps, distils the network on them with attention maps of pixels and of channels, and aligns hard image patches with
easy ones by an adversary. Here there is no generator and no adversary: the student's own batches are to have those
statistics, offline labels stand in for the easy patches' labels, and attention maps are distilled on target crops.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from training.methods.method import Needs, Setting
from training.methods.parts.statistics_matching import StatisticsMatching
from training.methods.parts.student import sums_by_taps
from training.methods.pseudo_label import LabelTermConfig, PseudoLabelLearning
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.views.batch import TargetBatch

__all__ = ["Sfda", "SfdaConfig", "attention_distance"]

# Of the map from which attention is taken; a large crop's is pooled, as its pixels by pixels would fill the memory.
MOST_CELLS = 1024


class SfdaConfig(LabelTermConfig):
    """The surrogate of SFDA; its weights are ours."""

    name: Literal["sfda"]
    statistics: NonNegativeFloat = 1e-2
    """Weight of the distance of each batch's statistics from those that the network starts with."""
    attention: NonNegativeFloat = 1.0
    """Weight of the distance of attention maps from the source network's; 0 leaves its forward pass out."""

    @property
    def needs(self) -> Needs:
        """Unchanged crops for the source network's attention."""
        return Needs(weak=self.attention > 0)


class Sfda(PseudoLabelLearning):
    """Offline labels, statistics and attention; see the module and `StatisticsMatching`.

    Raises:
        ConfigError: the network has no batch norm.
    """

    def __init__(self, config: SfdaConfig, setting: Setting) -> None:
        self._matching = StatisticsMatching(setting.network, setting.compute.world, method="sfda")
        self._source = _frozen(setting) if config.attention > 0 else None
        super().__init__(config, setting)
        self._config, self._compute, self._frame_input = config, setting.compute, setting.frame_input

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `pseudo_label`, `statistics` and `attention`."""
        self._clean = batch.clean
        with self._matching.watched(self.student) as distances:
            output = self._student(batch.student)
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        terms = self.terms(self._student.log_probs(output, hw), batch)
        terms["statistics"] = self._config.statistics * torch.stack(distances).sum()
        if self._source is not None and batch.weak is not None:
            with torch.no_grad(), self._compute.autocast():
                source: NetworkOutput = self._source(self._frame_input(batch.weak))
            terms["attention"] = self._config.attention * attention_distance(output.features, source.features)
        return {**terms, **self._student.likeness(batch.student, output)}


def attention_distance(features: Tensor, expected: Tensor) -> Tensor:
    """Mean squared difference of cosines between all pixels, plus that of cosines between all channels; scalar.

    Attention without its softmax, which for cosines is nearly constant. Of more than 1024 cells, means of square
    blocks are compared.

    Args:
        features: (N, D, h, w).
        expected: the same size.
    """
    block = 1
    while -(-features.shape[2] // block) * -(-features.shape[3] // block) > MOST_CELLS:
        block += 1
    distance = torch.zeros((), device=features.device)
    mine, theirs = (F.avg_pool2d(one.float(), block, ceil_mode=True).flatten(2) for one in (features, expected))
    for channels_first in (False, True):
        found, wanted = (_cosines(one if channels_first else one.transpose(1, 2)) for one in (mine, theirs))
        distance = distance + F.mse_loss(found, wanted)
    return distance


def _cosines(rows: Tensor) -> Tensor:
    """(N, R, S) -> (N, R, R), between rows."""
    rows = F.normalize(rows, dim=2)
    return rows @ rows.transpose(1, 2)


def _frozen(setting: Setting) -> SegmentationNetwork:
    source = setting.frozen_judge()
    source.sum_by_taps(sums_by_taps(setting))
    return source
