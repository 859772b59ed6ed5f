"""PGPC: pseudo-label guided pixel contrast (arXiv 2501.09040) on DAFormer, and its source-free port.

The paper's code is not to be had, its text only in a summary: see `training.methods.parts.category_contrast` for what
is reconstructed. Anchors are target pixels of the mixed crops, which the student sees anyway; the teacher sees the
source crops besides. The port has no source: it is self-training on crops mixed among each other, its prototypes are
of the anchors, as the teacher sees them, from the first step after the warm-up on, and all negatives are target pixels.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from runtime.labels import IGNORE_INDEX
from training.losses.terms import nearest_labels
from training.methods.daformer import Daformer, SourceTermConfig, source_of
from training.methods.method import Setting
from training.methods.parts.category_contrast import CategoryContrast, ContrastConfig
from training.methods.self_training import Mixed, SelfTraining, TeacherTermConfig, labels_and_weights
from training.networks.network import NetworkOutput
from training.views.batch import TargetBatch

__all__ = ["Pgpc", "PgpcConfig", "PgpcSourceFree", "PgpcSourceFreeConfig"]


class PgpcConfig(SourceTermConfig):
    """PGPC with labelled source crops; `masked` is off."""

    name: Literal["pgpc"]
    mixed: PositiveFloat = 1.0
    contrast: ContrastConfig = ContrastConfig()


class PgpcSourceFreeConfig(TeacherTermConfig):
    """PGPC without; `masked` is off, as its base has no such term either."""

    name: Literal["pgpc_source_free"]
    mixed: PositiveFloat = 1.0
    masked: NonNegativeFloat = 0.0
    contrast: ContrastConfig = ContrastConfig()


class Contrasting(SelfTraining):
    """Self-training whose teacher is remembered for the contrast, whatever the mixed crops are made of.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: PgpcConfig | PgpcSourceFreeConfig, setting: Setting) -> None:
        self.contrast = CategoryContrast(config.contrast, setting, config.ema_momentum)
        super().__init__(config, setting)
        self.heads: nn.Module = self.contrast.projection
        self._seen: NetworkOutput | None = None

    def teach(self, weak: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """As self-training does; what the teacher saw is kept for the contrast."""
        self._seen = self.teacher.output(weak)
        return labels_and_weights(self._seen, hw, self.config.threshold, align_corners=self.student.align_corners)

    def after_step(self) -> None:
        """Move the teacher and its projection."""
        super().after_step()
        self.contrast.follow(self.teacher.num_steps)

    def state(self) -> dict[str, Tensor]:
        """That of self-training, and what is remembered for the contrast."""
        return {**super().state(), **self.contrast.state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.contrast.load_state(state)


class Pgpc(Contrasting, Daformer):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from.
    """

    def __init__(self, config: PgpcConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self._batch: TargetBatch | None = None

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The terms of DAFormer, and after the warm-up `contrast`."""
        self._batch = batch
        return super().losses(batch)

    def mixed_terms(self, output: NetworkOutput, mixed: Mixed, class_weights: Tensor) -> dict[str, Tensor]:
        """The terms `mixed` and, after the warm-up, `contrast` of target pixels that nothing was pasted onto."""
        terms = super().mixed_terms(output, mixed, class_weights)
        if not self.contrast.is_due(self.teacher.num_steps):
            return terms
        assert self._seen is not None
        assert self._batch is not None
        source = source_of(self._batch)
        anchors = self.contrast.remember_target(self._seen, has_prototypes=False)
        labels = nearest_labels(source.labels, (int(anchors.shape[1]), int(anchors.shape[2])))
        self.contrast.remember_source(self.teacher.output(source.images), labels)
        anchors = torch.where(pasted_cells(mixed, anchors), IGNORE_INDEX, anchors)
        return {**terms, "contrast": self.contrast.loss(output.features, anchors)}


class PgpcSourceFree(Contrasting):
    """See the module, and `Contrasting`."""

    def mixed_terms(self, output: NetworkOutput, mixed: Mixed, class_weights: Tensor) -> dict[str, Tensor]:
        """The terms `mixed` and, after the warm-up, `contrast`."""
        terms = super().mixed_terms(output, mixed, class_weights)
        if not self.contrast.is_due(self.teacher.num_steps):
            return terms
        assert self._seen is not None
        anchors = self.contrast.remember_target(self._seen, has_prototypes=True)
        anchors = torch.where(pasted_cells(mixed, anchors), anchors, anchors.roll(-1, 0))
        return {**terms, "contrast": self.contrast.loss(output.features, anchors)}


def pasted_cells(mixed: Mixed, cells: Tensor) -> Tensor:
    """Which cells of (N, h, w) lie where mixed crops were pasted onto; (N, h, w) bool."""
    return nearest_labels(mixed.pasted, (int(cells.shape[1]), int(cells.shape[2]))).bool()
