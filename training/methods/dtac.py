"""DTAC: distribution transfer and adaptive class-balanced self-training (ICME 2022), by our reading of its title.

Little more than the title was to be had. Read here as: the batches' statistics are matched to those the source network
keeps, and class-balanced labels are made anew for every round, with a larger share of the pixels of rarer classes.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from training.methods.class_balanced import RoundsConfig
from training.methods.method import Needs, Rounds, Setting
from training.methods.parts.statistics_matching import StatisticsMatching
from training.methods.pseudo_label import PseudoLabelLearning
from training.views.batch import TargetBatch

__all__ = ["Dtac", "DtacConfig"]


class DtacConfig(RoundsConfig):
    """Our reading of DTAC; its weights are ours."""

    name: Literal["dtac"]
    statistics: NonNegativeFloat = 1e-2
    """Weight of the distance of each batch's statistics from those that the network starts with."""
    rarity: NonNegativeFloat = 0.5
    """How much larger a rare class's share is; see `training.labels.class_balanced.Shares`. 0 gives all the same."""

    @property
    def needs(self) -> Needs:
        """Labels by rounds, of each class its own share."""
        return Needs(rounds=Rounds(self.rounds, self.share, self.share_step, rarity=self.rarity))


class Dtac(PseudoLabelLearning):
    """Adaptively class-balanced labels, and statistics; see `StatisticsMatching`.

    Raises:
        ConfigError: the network has no batch norm.
    """

    def __init__(self, config: DtacConfig, setting: Setting) -> None:
        self._matching = StatisticsMatching(setting.network, setting.compute.world, method="dtac")
        super().__init__(config, setting)
        self._weight = config.statistics

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `pseudo_label` and `statistics`."""
        with self._matching.watched(self.student) as distances:
            terms = super().losses(batch)
        return {**terms, "statistics": self._weight * torch.stack(distances).sum()}
