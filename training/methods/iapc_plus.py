"""Our own: IAPC's information maximisation on a balanced start, a frozen classifier, and sure labels, mixed.

What measurements on other pairs of domains left of IAPC, and what they added:
- The classifier is kept as the source made it (SHOT, Liang et al., ICML 2020): features have to come to it.
- Predictions become sure, and class frequencies stay near those that the network which `adaptation.balance` balanced
  predicts for the same crops: entropy alone drifts to frequent classes, a uniform prior suits no street, and labels of
  sure pixels show fewer of the rare classes than predictions do.
- Labels of the surest pixels of each class, made anew in rounds from the student, are learnt on crops whose colours are
  changed and which are mixed class by class. Without classes weighted: the start has balanced them.
Importance, prototypes and the memory network brought nothing on top.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from runtime.config import StrictModel
from runtime.errors import ConfigError
from runtime.labels import IGNORE_INDEX
from training.losses.terms import information_maximisation_loss
from training.methods.method import Needs, Rounds, Setting
from training.methods.parts.loss_method import StudentMethod
from training.methods.parts.student import sums_by_taps
from training.networks.network import SegmentationNetwork
from training.views.batch import TargetBatch
from training.views.mixing import class_mix, mix_with_next

__all__ = ["IapcPlus", "IapcPlusConfig", "frequency_divergence"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Of the running frequencies: a batch of six crops shows too few classes to be held to those of all frames.
MEMORY = 0.9
# Class frequencies below it count as equal.
SMALLEST = 1e-6


class IapcPlusConfig(StrictModel):
    """IAPC+; made for a start that `adaptation.balance: 0.5` balanced."""

    name: Literal["iapc_plus"]
    information: NonNegativeFloat = 1.0
    """Weight of the entropy of unchanged crops, in nats."""
    diversity: NonNegativeFloat = 1.0
    """Weight, times that of information, of the divergence of class frequencies from those predicted at the start."""
    mixed: NonNegativeFloat = 0.5
    """Weight of the labels of mixed crops; 0 leaves that forward pass out."""
    rounds: PositiveInt = 3
    share: Share = 0.5
    """Of the pixels that are given a class, the surest are labelled."""
    is_classifier_frozen: bool = True

    @property
    def needs(self) -> Needs:
        """Unchanged crops, and labels by rounds."""
        return Needs(weak=True, rounds=Rounds(self.rounds, self.share, 0.0, max_share=self.share))


class IapcPlus(StudentMethod):
    """See the module.

    Args:
        config: weights.
        setting: what it starts from; batch-norm scales and offsets learn too.

    Raises:
        ConfigError: the classifier is to be kept, and the network names none.
    """

    def __init__(self, config: IapcPlusConfig, setting: Setting) -> None:
        if config.is_classifier_frozen:
            _freeze_classifier(setting.network)
        super().__init__(setting, is_affine_frozen=False)
        self._config, self._compute, self._frame_input = config, setting.compute, setting.frame_input
        self._start = setting.frozen_judge()
        self._start.sum_by_taps(sums_by_taps(setting))
        # Of the student and of the start; as they are moved by the same crops, what they begin with cancels out.
        self._frequencies, self._wanted = setting.class_prior.clone(), setting.class_prior.clone()

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """`information`, `diversity` and `mixed`."""
        assert batch.weak is not None
        self._clean, config, terms = batch.clean, self._config, {}
        output = self._student(batch.weak)
        log_probs = output.logits.float().log_softmax(dim=1)
        terms["information"] = config.information * information_maximisation_loss(log_probs)
        frequencies = self._compute.world.mean(log_probs.exp().mean(dim=(0, 2, 3)))
        self._frequencies = torch.lerp(frequencies.detach(), self._frequencies, MEMORY)
        self._wanted = torch.lerp(self._predicted_at_start(batch.weak), self._wanted, MEMORY)
        divergence = frequency_divergence(frequencies, self._frequencies, self._wanted)
        terms["diversity"] = config.information * config.diversity * divergence
        if config.mixed > 0:
            terms["mixed"] = config.mixed * self._mixed(batch.student, batch.pseudo_labels)
        return {**terms, **self._student.likeness(batch.weak, output)}

    @torch.no_grad()
    def _predicted_at_start(self, images: Tensor) -> Tensor:
        with self._compute.autocast():
            logits = self._start.logits(self._frame_input(images)).float()
        return self._compute.world.mean(logits.softmax(dim=1).mean(dim=(0, 2, 3)))

    def _mixed(self, images: Tensor, labels: Tensor) -> Tensor:
        pasted = class_mix(labels)
        images, labels = mix_with_next(pasted, images), mix_with_next(pasted, labels)
        hw = (int(labels.shape[1]), int(labels.shape[2]))
        log_probs = self._student.log_probs(self._student(images), hw)
        return F.nll_loss(log_probs, labels, ignore_index=IGNORE_INDEX, reduction="none").mean()

    def state(self) -> dict[str, Tensor]:
        """The running class frequencies, of the student and of the start."""
        return {"frequencies": self._frequencies, "wanted": self._wanted}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._frequencies = state["frequencies"].to(self._frequencies)
        self._wanted = state["wanted"].to(self._wanted)


def _freeze_classifier(network: SegmentationNetwork) -> None:
    if not network.head:
        raise ConfigError(
            "adaptation.method iapc_plus keeps the classifier, and the network does not say which of its modules that "
            "is; name it (`head`), or set is_classifier_frozen to false"
        )
    for name, parameter in network.get_submodule(network.head).named_parameters():
        # Not the ranges of a network that learns to live with its integers.
        if name.rpartition(".")[2] in ("weight", "bias"):
            parameter.requires_grad_(False)


def frequency_divergence(frequencies: Tensor, running: Tensor, wanted: Tensor) -> Tensor:
    """Divergence of class frequencies (C,) from those wanted (C,); scalar.

    Its gradient is that of KL(running || wanted) as far as this batch moves the running frequencies: `running` (C,)
    itself is a constant.
    """
    return (frequencies * (running.clamp(min=SMALLEST).log() - wanted.clamp(min=SMALLEST).log())).sum()
