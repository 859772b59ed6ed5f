"""HCL: historical contrastive learning (Huang et al., "Model Adaptation", NeurIPS 2021).

Two networks remember: the historical one is a copy of the student from some steps ago, the momentum one its moving
average since. Where they agree a label counts for more (HCCD), and pixels of the momentum network's map attract pixels
of the same class in the student's (HCID). The published network's auxiliary classifier is absent here, and with it half
a term; the agreement is measured at the logits' resolution; similarities are those of some cells of each image, drawn
anew in every step.
"""

import copy
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from training.losses.historical import agreement, instance_loss, reliability
from training.losses.terms import importance_weighted_loss, nearest_labels
from training.methods.class_balanced import Share
from training.methods.method import Needs, Setting
from training.methods.parts.ema import ema_update
from training.methods.parts.teacher import Teacher
from training.methods.pseudo_label import LabelTermConfig, PseudoLabelLearning
from training.networks.feature_channels import feature_channels
from training.networks.network import NetworkOutput, upsample
from training.views.batch import TargetBatch

__all__ = ["Hcl", "HclConfig"]

EMBEDDED = 128


class HclConfig(LabelTermConfig):
    """HCL; the defaults are the authors' but where it says so."""

    name: Literal["hcl"]
    instances: NonNegativeFloat = 0.5
    """Weight of the contrast of pixels; that of labels is `pseudo_label`."""
    temperature: PositiveFloat = 0.07
    ema_momentum: Share = 0.996
    refresh: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of the run after which both memories become the student; the authors' 300 steps of a far longer one.

    Within 30 steps the momentum network goes a ninth of the student's way, in the authors' 300 some 70 %.
    """
    cells: PositiveInt = 512
    """Of an image's feature map, those that are compared; the authors compare all, some 2,000."""

    @property
    def needs(self) -> Needs:
        """Unchanged crops for the memories."""
        return Needs(weak=True)


class Hcl(PseudoLabelLearning):
    """See the module. The projection's hidden layer is twice as wide as the features, as the authors' 2048 are."""

    def __init__(self, config: HclConfig, setting: Setting) -> None:
        self._historical = Teacher(setting, 0.0, is_ramped=False)
        self._momentum = Teacher(setting, config.ema_momentum, is_ramped=False)
        width = feature_channels(setting.network)
        super().__init__(config, setting)
        projector = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, EMBEDDED))
        self.heads = projector.to(setting.compute.device)
        self._keys = copy.deepcopy(self.heads).requires_grad_(False)
        self._config, self._compute, self._frame_input = config, setting.compute, setting.frame_input
        self._interval = max(1, round(config.refresh * setting.iterations))
        self._num_steps = 0

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `pseudo_label` and `instances`."""
        assert batch.weak is not None
        self._clean, labels = batch.clean, batch.pseudo_labels
        with torch.no_grad(), self._compute.autocast():
            images = self._frame_input(batch.weak)
            momentum: NetworkOutput = self._momentum.network(images)
            historical = self._historical.network.logits(images)
        student = self._student(batch.student)
        hw = (int(labels.shape[1]), int(labels.shape[2]))
        weights = upsample(
            agreement(historical, momentum.logits)[:, None], hw, align_corners=self.student.align_corners
        )[:, 0]
        terms = {}
        if self.label_weight > 0:
            class_weights = self.class_weights.update(labels)
            log_probs = self._student.log_probs(student, hw)
            loss = importance_weighted_loss(log_probs, labels, weights, class_weights)
            terms["pseudo_label"] = self.label_weight * loss
        if self._config.instances > 0:
            terms["instances"] = self._config.instances * self._contrast(student, momentum, labels)
        return {**terms, **self._student.likeness(batch.student, student)}

    def _contrast(self, student: NetworkOutput, momentum: NetworkOutput, labels: Tensor) -> Tensor:
        hw = (int(student.features.shape[2]), int(student.features.shape[3]))
        logits = upsample(momentum.logits, hw, align_corners=self.student.align_corners)
        cells = torch.randperm(hw[0] * hw[1])[: self._config.cells].to(labels.device)
        with self._compute.autocast():
            queries = self.heads(_rows(student.features, cells))
            with torch.no_grad():
                keys = self._keys(_rows(momentum.features, cells))
        return instance_loss(
            queries.float(),
            keys.float(),
            nearest_labels(labels, hw).flatten(1).index_select(1, cells),
            reliability(logits).flatten(1).index_select(1, cells),
            temperature=self._config.temperature,
        )

    @torch.no_grad()
    def after_step(self) -> None:
        """Show the student its clean crops, where there are any, then move the memories."""
        super().after_step()
        self._num_steps += 1
        is_refreshed = self._num_steps % self._interval == 0
        momentum = 0.0 if is_refreshed else self._config.ema_momentum
        ema_update(self._momentum.network, self.student, momentum=momentum)
        ema_update(self._keys, self.heads, momentum=momentum)
        if is_refreshed:
            self._historical.follow(self.student)

    def state(self) -> dict[str, Tensor]:
        """Both memories, the momentum projection, how many steps there were, and the running class weights."""
        return {
            **super().state(),
            **_below("historical/", self._historical.network),
            **_below("momentum/", self._momentum.network),
            **_below("keys/", self._keys),
            "num_steps": torch.tensor(self._num_steps),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        memories = {"historical/": self._historical.network, "momentum/": self._momentum.network, "keys/": self._keys}
        for prefix, memory in memories.items():
            memory.load_state_dict({n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})
        self._num_steps = int(state["num_steps"])


def _rows(features: Tensor, cells: Tensor) -> Tensor:
    """(N, D, h, w) -> (N, P, D) of P cells."""
    return features.flatten(2).index_select(2, cells).transpose(1, 2)


def _below(prefix: str, memory: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in memory.state_dict().items()}
