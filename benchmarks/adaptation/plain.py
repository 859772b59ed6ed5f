"""The peer: one IAPC step as the paper describes it and its code computes it, with nothing done to make it fast.

Four forward passes (the fourth, on a clean crop, only moves the student's batch-norm statistics), three networks and
all arithmetic in float32, logits at crop resolution in every term, Python loops over classes, a sort per pixel for the
two best classes. It shares no code with `training.losses.terms` and `training.losses.prototypes`, so that equal losses
mean something; it does share the network and its input convention, which are not what is compared.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, optim
from torch.profiler import record_function

from training.frame_network import FrameInput
from training.methods.iapc import IapcConfig
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.statistics.batch_norm import freeze_affine

__all__ = ["PlainStep"]


class PlainStep:
    """Three networks and an optimiser."""

    def __init__(
        self, source: SegmentationNetwork, frame_input: FrameInput, config: IapcConfig, *, num_classes: int
    ) -> None:
        """Copy the source network twice; `training.methods.iapc` says what each copy is for."""
        self.source = source.eval().requires_grad_(False)
        self.memory = copy.deepcopy(source).train()
        self.student = copy.deepcopy(source).requires_grad_(True).train()
        freeze_affine(self.student)
        self.frame_input, self.config = frame_input, config
        self.often = [1.0] * num_classes
        trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        self.optimizer = optim.SGD(trained, lr=1e-5, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step(self, source: Tensor, memory: Tensor, student: Tensor, clean: Tensor, labels: Tensor) -> dict[str, float]:
        """One iteration.

        Args:
            source: (N, H, W, 3) uint8, like `memory`, `student` and `clean`: the four views of a step.
            memory: for the prototypes.
            student: photometrically changed.
            clean: moves the student's running statistics and nothing else.
            labels: (N, H, W) pseudo-labels.

        Returns:
            The weighted loss terms, by the names that `training.methods.iapc` gives them.
        """
        with record_function("memory update"), torch.no_grad():
            for mean, weight in zip(self.memory.parameters(), self.student.parameters(), strict=True):
                mean.mul_(self.config.ema_momentum).add_(weight, alpha=1.0 - self.config.ema_momentum)
            for kept, buffer in zip(self.memory.buffers(), self.student.buffers(), strict=True):
                kept.copy_(buffer)
        with torch.no_grad():
            with record_function("source forward"):
                source_logits = self._upsampled(self.source(self.frame_input(source)).logits, labels)
            with record_function("memory forward"):
                remembered: NetworkOutput = self.memory(self.frame_input(memory))
        with record_function("student forward"):
            learnt: NetworkOutput = self.student(self.frame_input(student))
        with record_function("losses"):
            terms = self._losses(learnt, remembered, source_logits, labels)
        with record_function("backward"):
            self.optimizer.zero_grad()
            torch.autograd.backward(sum(terms.values(), start=torch.zeros(())))
        with record_function("optimiser"):
            self.optimizer.step()
        with record_function("clean forward"), torch.no_grad():
            self.student(self.frame_input(clean))
        return {name: float(term.detach()) for name, term in terms.items()}

    def _losses(
        self, learnt: NetworkOutput, remembered: NetworkOutput, source_logits: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        weights = self._class_weights(labels)[labels]
        logits = self._upsampled(learnt.logits, labels)
        ordered = source_logits.softmax(dim=1).sort(dim=1, descending=True).values
        importance = 1.0 - ordered[:, 1] / ordered[:, 0]
        similarity = self._similarity(learnt, remembered, labels)
        prototype_labels = F.interpolate(similarity.argmax(dim=1)[:, None].float(), size=labels.shape[1:])[:, 0].long()
        probs = logits.softmax(dim=1)
        by_source = F.cross_entropy(logits, labels, reduction="none")
        by_prototypes = F.cross_entropy(logits, prototype_labels, reduction="none")
        by_student = F.cross_entropy(self._upsampled(similarity / config.temperature, labels), logits.argmax(dim=1))
        agreed = (prototype_labels == labels).float()
        return {
            "importance_weighted": config.importance_weighted * (importance * weights * by_source).mean(),
            "information": config.information * -(probs * torch.log(probs + 1e-5)).sum(dim=1).mean(),
            "symmetric": config.symmetric * (by_prototypes.mean() + by_student),
            "enhanced": config.enhanced * (agreed * weights * by_prototypes).mean(),
        }

    def _similarity(self, learnt: NetworkOutput, remembered: NetworkOutput, labels: Tensor) -> Tensor:
        """Cosine of each student feature to each class mean of its image; 0 for absent classes."""
        by_pixel = self._upsampled(remembered.logits, labels).argmax(dim=1)
        cells = F.interpolate(by_pixel[:, None].float(), size=remembered.features.shape[2:])[:, 0].long()
        images = []
        for features, own, known in zip(remembered.features, learnt.features, cells, strict=True):
            channels = []
            for index in range(remembered.logits.shape[1]):
                mask = (known == index).float()
                prototype = (features * mask).sum(dim=(1, 2)) / mask.sum().clamp(min=1.0)
                channels.append(F.cosine_similarity(own, prototype[:, None, None].expand_as(own), dim=0))
            images.append(torch.stack(channels))
        return torch.stack(images)

    def _class_weights(self, labels: Tensor) -> Tensor:
        weights = []
        for index in range(len(self.often)):
            count = int((labels == index).sum())
            self.often[index] = 0.9 * self.often[index] + 0.1 * (self.config.rare_boost if count == 0 else 1.0)
            is_small = count < 64 * 64 / (256 * 512) * labels.numel()
            weights.append((self.config.rare_boost if is_small else 1.0) * self.often[index])
        return torch.tensor(weights, device=labels.device)

    def _upsampled(self, maps: Tensor, labels: Tensor) -> Tensor:
        return F.interpolate(maps, size=labels.shape[1:], mode="bilinear", align_corners=self.student.align_corners)
