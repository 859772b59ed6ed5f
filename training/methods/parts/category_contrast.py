"""The contrast of PGPC (arXiv 2501.09040): anchors like the prototype of their class, unlike pixels that are not of it.

The paper's settings where its summary states them, otherwise those of its ancestor U2PL (Wang et al., CVPR 2022) or
ours. From U2PL: anchors drawn with replacement, as many of every class, the temperature, the least probability of an
anchor, and source negatives. Ours: a share of sure pixels that does not fall, all others being unsure; queues of 1024
for U2PL's 30,000, to which a step adds an eighth at most, so that they hold several steps also where maps are small;
a projection in two layers of the network's features, which begins to learn when the warm-up ends, as queues and
prototypes begin to fill. What several processes remember is each one's own; resumed, all of them have the first one's.
"""

import copy
from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from runtime.config import StrictModel
from runtime.errors import ConfigError
from training.losses.contrast import anchor_labels, info_nce_loss, source_negatives, surest, target_negatives
from training.methods.method import Setting
from training.methods.parts.ema import ema_update
from training.methods.parts.memory_bank import ClassQueues, RunningPrototypes
from training.networks.feature_channels import feature_channels
from training.networks.network import NetworkOutput, upsample

__all__ = ["CategoryContrast", "ContrastConfig"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]

WIDTH = 256
# A step's largest part of a queue.
PUSHED_SHARE = 8


class ContrastConfig(StrictModel):
    """Which pixels are contrasted, and how much it counts."""

    weight: PositiveFloat = 0.1
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """Share of the run without contrast; the paper's 20,000 of 40,000 steps."""
    sure_share: Share = 0.2
    """Share of a step's target pixels that can be anchors, those of the lowest entropy."""
    least_probability: Share = 0.3
    rank: PositiveInt = 4
    """A pixel is certainly not of a class that comes at this place of its prediction, or behind it."""
    anchors: PositiveInt = 64
    """Of each class in a step; U2PL's 256 of far larger crops."""
    negatives: PositiveInt = 256
    """Of each anchor."""
    temperature: PositiveFloat = 0.5
    queue: Annotated[int, Field(ge=PUSHED_SHARE)] = 1024
    """Negatives that are remembered of each class."""
    prototype_momentum: Share = 0.99


class CategoryContrast:
    """Remembers what a teacher sees, and contrasts what a student makes of it.

    Args:
        config: which pixels.
        setting: what the method starts from.
        momentum: of the teacher, which the projection of its features follows too.

    Raises:
        ConfigError: there are too few classes for the rank.
    """

    def __init__(self, config: ContrastConfig, setting: Setting, momentum: float) -> None:
        num_classes, device = setting.num_classes, setting.compute.device
        if config.rank >= num_classes:
            raise ConfigError(
                f"contrast.rank={config.rank} leaves no negative among {num_classes} classes, whose places are 0 to "
                f"{num_classes - 1}; use a smaller one"
            )
        self._config, self._momentum = config, momentum
        self._align_corners = setting.network.align_corners
        self._first = round(config.warmup * setting.iterations)
        channels = feature_channels(setting.network)
        projection = nn.Sequential(nn.Linear(channels, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.projection = projection.to(device)
        self._teacher_projection = copy.deepcopy(self.projection).requires_grad_(False)
        self._queues = ClassQueues(num_classes, config.queue, WIDTH, device)
        self._prototypes = RunningPrototypes(num_classes, WIDTH, config.prototype_momentum, device)

    def is_due(self, num_steps: int) -> bool:
        """Whether the warm-up is over after so many steps."""
        return num_steps >= self._first

    @torch.no_grad()
    def remember_target(self, seen: NetworkOutput, *, has_prototypes: bool) -> Tensor:
        """Keep negatives of target crops, and, if asked to, move the prototypes by the anchors.

        Args:
            seen: by the teacher.
            has_prototypes: whether these crops are what prototypes are made of.

        Returns:
            The class of each cell of the feature map (N, h, w) that is an anchor; `IGNORE_INDEX` elsewhere.
        """
        config, probs, embeddings = self._config, self._probs(seen), self._embeddings(seen)
        is_sure = surest(probs, config.sure_share)
        self._push(embeddings, target_negatives(probs, is_sure, rank=config.rank))
        anchors = anchor_labels(probs, is_sure, least_probability=config.least_probability)
        if has_prototypes:
            self._prototypes.move(embeddings, anchors)
        num, _, height, width = seen.features.shape
        return anchors.view(num, height, width)

    @torch.no_grad()
    def remember_source(self, seen: NetworkOutput, labels: Tensor) -> None:
        """Keep negatives of source crops, seen by the teacher, and move the prototypes by their labels (N, h, w)."""
        embeddings, labels = self._embeddings(seen), labels.flatten()
        self._push(embeddings, source_negatives(self._probs(seen), labels, rank=self._config.rank))
        self._prototypes.move(embeddings, labels)

    def loss(self, features: Tensor, anchors: Tensor) -> Tensor:
        """Weighted mean over classes of the contrast of their anchors; scalar, 0 where there is nothing to contrast.

        Args:
            features: (N, D, h, w), the student's.
            anchors: (N, h, w) classes of the cells that are anchors, `IGNORE_INDEX` elsewhere.
        """
        cells, losses = features.float().movedim(1, 3), []
        for train_id in range(len(self._queues.pushed)):
            prototype, negatives = self._prototypes.of(train_id), self._queues.of(train_id)
            candidates = cells[anchors == train_id]
            if prototype is None or min(len(negatives), len(candidates)) == 0:
                continue
            drawn = candidates[_draw(len(candidates), (self._config.anchors,), cells.device)]
            embedded = F.normalize(self.projection(drawn), dim=1)
            chosen = _draw(len(negatives), (len(drawn), self._config.negatives), cells.device)
            negative = (embedded @ negatives.T).gather(1, chosen)
            losses.append(info_nce_loss(embedded @ prototype, negative, temperature=self._config.temperature))
        return self._config.weight * torch.stack(losses).mean() if losses else 0.0 * features.float().sum()

    @torch.no_grad()
    def follow(self, num_steps: int) -> None:
        """Move the teacher's projection towards the student's, as the teacher moves in its step of this number."""
        momentum = min(1 - 1 / (num_steps + 1), self._momentum)
        ema_update(self._teacher_projection, self.projection, momentum=momentum)

    def state(self) -> dict[str, Tensor]:
        """The teacher's projection, queues and prototypes."""
        parts = {
            "projection": self._teacher_projection.state_dict(),
            "queues": self._queues.state(),
            "prototypes": self._prototypes.state(),
        }
        return {f"contrast/{part}/{name}": tensor for part, of in parts.items() for name, tensor in of.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._teacher_projection.load_state_dict(_below("contrast/projection/", state))
        self._queues.load_state(_below("contrast/queues/", state))
        self._prototypes.load_state(_below("contrast/prototypes/", state))

    def _probs(self, seen: NetworkOutput) -> Tensor:
        """Probabilities (P, C) of the cells of the feature map."""
        hw = (int(seen.features.shape[2]), int(seen.features.shape[3]))
        logits = upsample(seen.logits, hw, align_corners=self._align_corners)
        return logits.softmax(dim=1).movedim(1, 3).flatten(0, 2)

    def _embeddings(self, seen: NetworkOutput) -> Tensor:
        """Embeddings (P, 256) of length 1 of the cells of a teacher's feature map."""
        cells = seen.features.float().movedim(1, 3).flatten(0, 2)
        return F.normalize(self._teacher_projection(cells), dim=1)

    def _push(self, embeddings: Tensor, is_negative: Tensor) -> None:
        """Some of the negatives (P, C) of each class into its queue."""
        most = self._config.queue // PUSHED_SHARE
        for train_id, places in enumerate(is_negative.T):
            found = places.nonzero()[:, 0]
            drawn = torch.randperm(len(found), device="cpu")[:most]
            self._queues.push(train_id, embeddings[found[drawn.to(found.device)]])


def _draw(count: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Places below `count`; drawn on the CPU, so that what is drawn does not depend on the device."""
    return torch.randint(count, shape, device="cpu").to(device)


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
