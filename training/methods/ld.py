"""LD: domain adaptive segmentation without source data by label denoising (You et al., ACM MM 2021), and its stage BE.

Class-balanced labels in rounds, with the surest tenth of each image, entropy, and negative learning: a class of
middling rank is most likely not the right one, and every pixel can be told so, labelled or not. The second stage, BE,
is off unless it is given steps: a moving average of the student then labels crops that are mixed class by class. It
takes the last steps of the last round, where the authors train anew from the first stage's network.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from training.losses.terms import information_maximisation_loss
from training.methods.class_balanced import RoundsConfig, Share
from training.methods.method import Needs, Rounds, Setting
from training.methods.parts.ema import ema_update
from training.methods.parts.teacher import Teacher
from training.methods.pseudo_label import PseudoLabelLearning
from training.methods.self_training import confident_share, taught_loss
from training.views.batch import TargetBatch
from training.views.mixing import class_mix, mix_with_next

__all__ = ["LabelDenoising", "LabelDenoisingConfig", "negative_loss"]

# How far from the middle of all ranks the class is drawn from; the authors' value.
SPREAD = 3
# Probabilities nearer to 1 than this have no logarithm of what is left.
SMALLEST = 1e-5
# Of the second stage; the authors' values.
EMA_MOMENTUM = 0.99
CONFIDENT = 0.97


class LabelDenoisingConfig(RoundsConfig):
    """LD; the defaults are the authors'."""

    name: Literal["label_denoising"]
    rounds: PositiveInt = 2
    share: Share = 0.1
    image_share: Share = 0.1
    """Of the pixels of each image, the surest, which are labelled too."""
    entropy: NonNegativeFloat = 1.0
    negative: NonNegativeFloat = 1.0
    mixed_share: Share = 0.0
    """Share of the run that is the second stage, BE."""

    @property
    def needs(self) -> Needs:
        """Labels by rounds; unchanged crops for the teacher of the second stage."""
        rounds = Rounds(self.rounds, self.share, self.share_step, image_share=self.image_share)
        return Needs(rounds=rounds, weak=self.mixed_share > 0)


class LabelDenoising(PseudoLabelLearning):
    """Class-balanced labels, entropy and negative learning, then mixed crops; see `PseudoLabelLearning`."""

    def __init__(self, config: LabelDenoisingConfig, setting: Setting) -> None:
        self._teacher = Teacher(setting, EMA_MOMENTUM, is_ramped=False) if config.mixed_share > 0 else None
        super().__init__(config, setting)
        self.entropy_weight, self.negative_weight = config.entropy, config.negative
        self._first_mixed = setting.iterations - round(config.mixed_share * setting.iterations)
        self._num_steps = 0

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The terms of the stage: those of `terms`, or `mixed`."""
        if self._teacher is None or self._num_steps < self._first_mixed:
            return super().losses(batch)
        assert batch.weak is not None
        self._clean = batch.clean
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        taught = self._teacher.teach(batch.weak, hw)
        weights = confident_share(taught, CONFIDENT)[:, None, None].expand_as(taught.confidence)
        pasted = class_mix(taught.labels)
        images, labels, weights = (mix_with_next(pasted, one) for one in (batch.student, taught.labels, weights))
        output = self._student(images)
        loss = taught_loss(
            self._student.log_probs(output, hw), labels, weights, self.class_weights.update(taught.labels)
        )
        return {"mixed": loss, **self._student.likeness(images, output)}

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """`pseudo_label`, `entropy` in nats and `negative`."""
        middle = log_probs.shape[1] // 2
        drawn = int(torch.randint(-SPREAD, SPREAD + 1, ()))
        rank = min(max(middle + drawn, 1), log_probs.shape[1] - 1)
        return {
            **super().terms(log_probs, batch),
            "entropy": self.entropy_weight * information_maximisation_loss(log_probs),
            "negative": self.negative_weight * negative_loss(log_probs, rank),
        }

    @torch.no_grad()
    def after_step(self) -> None:
        """Show the student its clean crops; move the teacher, which begins the second stage as the student is then."""
        super().after_step()
        self._num_steps += 1
        if self._teacher is not None and self._num_steps >= self._first_mixed:
            is_first = self._num_steps == self._first_mixed
            ema_update(self._teacher.network, self.student, momentum=0.0 if is_first else EMA_MOMENTUM)

    def state(self) -> dict[str, Tensor]:
        """The running class weights, how many steps there were, and the teacher, where there is one."""
        teacher = {} if self._teacher is None else self._teacher.state()
        return {**super().state(), **teacher, "num_steps": torch.tensor(self._num_steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self._num_steps = int(state["num_steps"])
        if self._teacher is not None:
            self._teacher.load_state(state)


def negative_loss(log_probs: Tensor, rank: int) -> Tensor:
    """-log(1 - p) of the class of a rank in each pixel's prediction, 0 being the largest; mean over pixels, scalar.

    Args:
        log_probs: (N, C, H, W).
        rank: the same for every pixel.
    """
    ranked = log_probs.exp().topk(rank + 1, dim=1).values[:, rank]
    return -torch.log((1 - ranked).clamp(min=SMALLEST)).mean()
