"""IAPC: importance-aware and prototype-contrast learning (arXiv 2306.01598), source-free.

Three networks start from the same weights: the frozen source network judges how far a pixel can be trusted
(importance, as a rule before the first step), the memory network, a slow moving average of the student, gives the
prototypes, and the student, which is what is delivered, learns on photometrically changed views.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.profiler import record_function

from training.batch_norm import freeze_affine, use_batch_statistics
from training.batches import TargetBatch
from training.class_weights import RareClassWeights
from training.config import IapcConfig
from training.device import Compute
from training.fake_quantization import is_fake_quantized
from training.frame_network import FrameInput
from training.global_batch_norm import by_global_batch
from training.losses import (
    divergence,
    importance_map,
    importance_weighted_loss,
    information_maximisation_loss,
    nearest_labels,
    prior_divergence,
    prototype_enhanced_loss,
    prototype_symmetric_loss,
)
from training.networks.network import NetworkOutput, SegmentationNetwork, upsample
from training.prototypes import class_prototypes, feature_labels, prototype_similarity

__all__ = ["Iapc"]


class Iapc:
    """The four terms of IAPC on one batch of target views."""

    def __init__(
        self,
        source: SegmentationNetwork,
        frame_input: FrameInput,
        config: IapcConfig,
        *,
        class_prior: Tensor,
        has_fixed_statistics: bool,
        compute: Compute,
        judge: SegmentationNetwork | None = None,
        likeness: float = 0.0,
    ) -> None:
        """Make the three networks.

        Args:
            source: the source network, statistics already blended; it becomes the student.
            frame_input: its input convention.
            config: weights and forms of the terms.
            class_prior: (C,) class frequencies of the pseudo-labels, for the optional diversity term.
            has_fixed_statistics: normalise the student by its stored statistics instead of the batch's.
            compute: device and precision.
            judge: the network that judges importance where that is not `source`, as where that computes roughly.
            likeness: weight of a fifth term, that the student predicts what the judge does.
        """
        is_asked = config.judged_view == "crop" or likeness > 0
        self.source = copy.deepcopy(judge or source).eval().requires_grad_(False) if is_asked else None
        self.likeness = likeness
        self.memory = copy.deepcopy(source).eval().requires_grad_(False)
        if not has_fixed_statistics:
            # As in the authors' code; copied buffers would do as well, which it never uses.
            use_batch_statistics(self.memory)
        # What its author keeps from learning stays so.
        self.student = source.train(not has_fixed_statistics)
        freeze_affine(self.student)
        # Sums by taps pass the classifiers by, and with them the rounding of what they read.
        is_by_taps = compute.device.type == "cpu" and not is_fake_quantized(self.student)
        for network in (self.memory, self.student):
            network.sum_by_taps(is_by_taps)
        by_global_batch(self.memory, compute)
        self.forward_student = compute.world.parallel(by_global_batch(self.student, compute))
        self.frame_input = frame_input
        self.config = config
        self.compute = compute
        self.class_prior = class_prior
        self.class_weights = RareClassWeights(
            len(class_prior), boost=config.rare_boost, device=compute.device, world=compute.world
        )
        self.clean: Tensor | None = None

    def losses(self, batch: TargetBatch) -> dict[str, Tensor]:
        """The weighted terms `importance_weighted` and `information`; with prototypes `symmetric` and `enhanced`."""
        self.clean = batch.clean
        hw = (int(batch.pseudo_labels.shape[1]), int(batch.pseudo_labels.shape[2]))
        with torch.no_grad(), self.compute.autocast():
            with record_function("source forward"):
                importance = self._importance(batch, hw)
            with record_function("memory forward"):
                memory = self._remember(batch)
            with record_function("judge forward"):
                judged = self._judge(batch)
        with record_function("student forward"), self.compute.autocast():
            student: NetworkOutput = self.forward_student(self.frame_input(batch.student))
        with record_function("losses"):
            # Once for all terms: at crop resolution this is the dearest operation of the step after the networks.
            log_probs = upsample(student.logits, hw, align_corners=self.student.align_corners).log_softmax(dim=1)
            similarity = None if memory is None else self._similarity(student, memory, hw)
            terms = self._terms(log_probs, similarity, importance, batch.pseudo_labels)
            if judged is not None:
                terms["likeness"] = self.likeness * divergence(student.logits, judged)
            return terms

    def _judge(self, batch: TargetBatch) -> Tensor | None:
        """The judge's logits of what the student sees; None where the student need not be like it."""
        if self.source is None or self.likeness == 0:
            return None
        return self.source.logits(self.frame_input(batch.student))

    def _remember(self, batch: TargetBatch) -> NetworkOutput | None:
        """What the memory network sees; None where no term needs prototypes."""
        if self.config.symmetric == 0 and self.config.enhanced == 0:
            return None
        output: NetworkOutput = self.memory(self.frame_input(batch.memory))
        return output

    def _importance(self, batch: TargetBatch, hw: tuple[int, int]) -> Tensor:
        if batch.importance is not None:
            return batch.importance.float() / 255.0
        if self.source is None or batch.source is None:
            return torch.ones(batch.pseudo_labels.shape, device=self.compute.device)
        logits = self.source.logits(self.frame_input(batch.source))
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
        if self.clean is not None:
            with self.compute.autocast():
                self.student(self.frame_input(self.clean))
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


def ema_update(memory: torch.nn.Module, student: torch.nn.Module, *, momentum: float) -> None:
    """`momentum * memory + (1 - momentum) * student` for parameters; buffers are copied (authors' code)."""
    move = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
    move(list(memory.parameters()), list(student.parameters()), None)
    for kept, buffer in zip(memory.buffers(), student.buffers(), strict=True):
        kept.copy_(buffer)
