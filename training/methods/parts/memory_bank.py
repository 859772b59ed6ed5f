"""Embeddings of earlier steps, kept by class: queues of single pixels, and prototypes."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from training.losses.prototypes import class_prototypes

__all__ = ["ClassQueues", "RunningPrototypes"]


class ClassQueues:
    """A queue of embeddings for each class; the oldest leave first.

    Args:
        num_classes: C.
        size: of each queue.
        width: D of the embeddings.
        device: where they are.
    """

    def __init__(self, num_classes: int, size: int, width: int, device: torch.device) -> None:
        self.queues = torch.zeros(num_classes, size, width, device=device)
        self.pushed = torch.zeros(num_classes, dtype=torch.int64)

    def push(self, train_id: int, embeddings: Tensor) -> None:
        """Add (K, D) to the queue of a class, K being at most its size."""
        size = self.queues.shape[1]
        places = (int(self.pushed[train_id]) + torch.arange(len(embeddings))) % size
        self.queues[train_id, places.to(self.queues.device)] = embeddings
        self.pushed[train_id] += len(embeddings)

    def of(self, train_id: int) -> Tensor:
        """What the queue of a class holds, (K, D), in no order."""
        return self.queues[train_id, : int(self.pushed[train_id])]

    def state(self) -> dict[str, Tensor]:
        """All of it."""
        return {"queues": self.queues, "pushed": self.pushed}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.queues.copy_(state["queues"])
        self.pushed.copy_(state["pushed"])


class RunningPrototypes:
    """A moving average of the embeddings of each class.

    Args:
        num_classes: C.
        width: D of the embeddings.
        momentum: of the average; it grows to this as a teacher's does, min(1 - 1 / (number of moves + 1), momentum),
            so that the first mean of a class is taken as it is.
        device: where they are.
    """

    def __init__(self, num_classes: int, width: int, momentum: float, device: torch.device) -> None:
        self.means = torch.zeros(num_classes, width, device=device)
        self.moves = torch.zeros(num_classes, device=device)
        self._momentum = momentum

    def move(self, embeddings: Tensor, labels: Tensor) -> None:
        """Towards the mean of each class that (P,) labels of (P, D) embeddings show."""
        found = class_prototypes(embeddings.T[None, :, :, None], labels[None, :, None], len(self.means))[0]
        is_shown = torch.isin(torch.arange(len(self.means), device=labels.device), labels)
        kept = (1 - 1 / (self.moves + 1)).clamp(max=self._momentum)[:, None]
        self.means = torch.where(is_shown[:, None], kept * self.means + (1 - kept) * found, self.means)
        self.moves = self.moves + is_shown

    def of(self, train_id: int) -> Tensor | None:
        """The prototype of a class, (D,) of length 1; None where none was seen."""
        return F.normalize(self.means[train_id], dim=0) if self.moves[train_id] > 0 else None

    def state(self) -> dict[str, Tensor]:
        """All of it."""
        return {"means": self.means, "moves": self.moves}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.means, self.moves = state["means"].to(self.means), state["moves"].to(self.moves)
