"""IAPC: importance-aware and prototype-contrast learning (arXiv 2306.01598), source-free.

Three networks start from the same weights: the frozen source network judges how far a pixel can be trusted
(importance, as a rule before the first step), the memory network, a slow moving average of the student, gives the
prototypes, and the student, which is what is delivered, learns on photometrically changed views.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.profiler import record_function

from runtime.config import StrictModel
from training.labels.class_weights import RareClassWeights
from training.losses.prototypes import AbsentForm, class_prototypes, feature_labels, prototype_similarity
from training.losses.terms import (
    ImportanceForm,
    importance_map,
    importance_weighted_loss,
    information_maximisation_loss,
    nearest_labels,
    prior_divergence,
    prototype_enhanced_loss,
    prototype_symmetric_loss,
)
from training.methods.method import Needs, Setting
from training.methods.parts.ema import ema_update
from training.methods.parts.student import Student, sums_by_taps
from training.networks.network import NetworkOutput, SegmentationNetwork, upsample
from training.statistics.batch_norm import use_batch_statistics
from training.statistics.global_batch_norm import by_global_batch
from training.views.batch import TargetBatch

__all__ = ["Iapc", "IapcConfig"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class IapcConfig(StrictModel):
    """IAPC (arXiv 2306.01598). Defaults are the corrected form; the paper's and the code's are one key away."""

    name: Literal["iapc"]
    importance: ImportanceForm = "prob_ratio"
    importance_view: Literal["frame", "crop"] = "frame"
    """Judge importance once on each whole frame, or, as the paper does, on every crop of every step."""
    importance_weighted: NonNegativeFloat = 0.2
    information: NonNegativeFloat = 0.5
    diversity: NonNegativeFloat = 0.0
    """Weight of the divergence from the pseudo-labels' class frequencies, added to the information term."""
    symmetric: NonNegativeFloat = 0.04
    enhanced: NonNegativeFloat = 2.0
    temperature: PositiveFloat = 0.1
    """Of the prototype distribution; the paper has 1.0."""
    absent: AbsentForm = "mask"
    """Similarity to classes absent from an image; the paper's code has `zero`."""
    ema_momentum: Share = 0.9999
    rare_boost: Annotated[float, Field(ge=1.0)] = 7.0
    """1 switches the class weights off."""

    @property
    def needs(self) -> Needs:
        """See `Needs`."""
        is_judged = self.importance != "none" and self.importance_weighted > 0
        return Needs(
            importance=self.importance if is_judged and self.importance_view == "frame" else None,
            memory=self.uses_prototypes,
            weak=is_judged and self.importance_view == "crop",
        )

    @property
    def uses_prototypes(self) -> bool:
        """Whether any term asks for prototypes."""
        return self.symmetric > 0 or self.enhanced > 0


class Iapc:
    """The four terms of IAPC on one batch of target views.

    Args:
        config: weights and forms of the terms.
        setting: what it starts from.
    """

    def __init__(self, config: IapcConfig, setting: Setting) -> None:
        self.compute = setting.compute
        self.source = setting.frozen_judge() if config.needs.weak else None
        self.memory = setting.frozen_network()
        if not setting.has_fixed_statistics:
            # As in the authors' code; copied buffers would do as well, which it never uses.
            use_batch_statistics(self.memory)
        self.memory.sum_by_taps(sums_by_taps(setting))
        by_global_batch(self.memory, self.compute)
        self._student = Student(setting)
        self.heads = torch.nn.Module()
        self.frame_input, self.config = setting.frame_input, config
        self.class_prior = setting.class_prior
        self.class_weights = RareClassWeights(
            setting.num_classes, boost=config.rare_boost, device=self.compute.device, world=self.compute.world
        )
        self.clean: Tensor | None = None

    @property
    def student(self) -> SegmentationNetwork:
        """The network that is trained."""
        return self._student.network

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `importance_weighted` and `information`; with prototypes `symmetric` and `enhanced`."""
        self.clean = batch.clean
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        with torch.no_grad(), self.compute.autocast():
            with record_function("source forward"):
                importance = self._importance(batch, hw)
            with record_function("memory forward"):
                memory = self._remember(batch)
        with record_function("student forward"):
            student = self._student(batch.student)
        with record_function("losses"):
            # Once for all terms: at crop resolution this is the dearest operation of the step after the networks.
            log_probs = self._student.log_probs(student, hw)
            similarity = None if memory is None else self._similarity(student, memory, hw)
            terms = self._terms(log_probs, similarity, importance, batch.pseudo_labels)
            return {**terms, **self._student.likeness(batch.student, student)}

    def _remember(self, batch: TargetBatch) -> NetworkOutput | None:
        """What the memory network sees; None where no term needs prototypes."""
        if batch.memory is None:
            return None
        output: NetworkOutput = self.memory(self.frame_input(batch.memory))
        return output

    def _importance(self, batch: TargetBatch, hw: tuple[int, int]) -> Tensor:
        if batch.importance is not None:
            return batch.importance.float() / 255.0
        if self.source is None or batch.weak is None:
            return torch.ones(batch.pseudo_labels.shape, device=self.compute.device)
        logits = self.source.logits(self.frame_input(batch.weak))
        return importance_map(upsample(logits, hw, align_corners=self.source.align_corners), self.config.importance)

    def _similarity(self, student: NetworkOutput, memory: NetworkOutput, hw: tuple[int, int]) -> Tensor:
        """Similarity of student features to the memory's prototypes."""
        features_hw = (memory.features.shape[2], memory.features.shape[3])
        labels = feature_labels(memory.logits, hw, features_hw, align_corners=self.memory.align_corners)
        prototypes = class_prototypes(memory.features.float(), labels, memory.logits.shape[1])
        return prototype_similarity(student.features.float(), prototypes, self.config.absent)

    def _terms(
        self, log_probs: Tensor, similarity: Tensor | None, importance: Tensor, pseudo_labels: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        class_weights = self.class_weights.update(pseudo_labels)
        information = config.information * information_maximisation_loss(log_probs)
        if config.diversity > 0:
            information = information + config.diversity * prior_divergence(
                log_probs, self.class_prior, self.compute.world
            )
        terms = {
            "importance_weighted": config.importance_weighted
            * importance_weighted_loss(log_probs, pseudo_labels, importance, class_weights),
            "information": information,
        }
        if similarity is None:
            return terms
        hw = (int(log_probs.shape[2]), int(log_probs.shape[3]))
        prototype_labels = nearest_labels(similarity.argmax(dim=1), hw)
        symmetric = prototype_symmetric_loss(
            log_probs, similarity, temperature=config.temperature, align_corners=self.student.align_corners
        )
        enhanced = prototype_enhanced_loss(log_probs, prototype_labels, pseudo_labels, class_weights)
        return {**terms, "symmetric": config.symmetric * symmetric, "enhanced": config.enhanced * enhanced}

    @torch.no_grad()
    def after_step(self) -> None:
        """Show the student its clean crops, where there are any, then move the memory towards it.

        The reference code does the latter at the start of the next step, which is the same but for the last.
        """
        self._student.show(self.clean)
        ema_update(self.memory, self.student, momentum=self.config.ema_momentum)

    def state(self) -> dict[str, Tensor]:
        """The memory network and the running class weights; the source network never changes."""
        memory = {f"memory/{name}": tensor for name, tensor in self.memory.state_dict().items()}
        return {**memory, "often": self.class_weights.often}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.memory.load_state_dict(
            {name.removeprefix("memory/"): tensor for name, tensor in state.items() if name.startswith("memory/")}
        )
        self.class_weights.often = state["often"].to(self.compute.device)
