"""Learning the very probabilities that offline labels are the largest of: self-distillation, plain.

What several looks at a frame make of it is more than which class wins: near an edge, or on a thing seen twice as two
classes, their mean says how unsure to be. On a development pair of mixed weather that was worth about a point more than
the labels, on one of darkness nothing; labels weighted by how sure they are were worth what labels are.
"""

from typing import Literal

from torch import Tensor

from runtime.config import StrictModel
from training.methods.method import Needs
from training.methods.parts.loss_method import LossMethod
from training.views.batch import TargetBatch

__all__ = ["Distillation", "DistillationConfig", "soft_cross_entropy"]


class DistillationConfig(StrictModel):
    """It has no weights: there is one term."""

    name: Literal["distillation"]

    @property
    def needs(self) -> Needs:
        """Probabilities beside the labels."""
        return Needs(probs=True)


class Distillation(LossMethod):
    """Cross-entropy to the offline probabilities; batch-norm scales and offsets stay."""

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """One term, `distillation`."""
        assert batch.probs is not None
        return {"distillation": soft_cross_entropy(log_probs, batch.probs)}


def soft_cross_entropy(log_probs: Tensor, probs: Tensor) -> Tensor:
    """Mean over all pixels of -sum_c q_c log p_c; scalar, its least value the entropy of q.

    Args:
        log_probs: (N, C, H, W), of the student, p.
        probs: (N, C, H, W) uint8, q times anything; divided by their sum over classes.
    """
    wanted = probs.float()
    wanted = wanted / wanted.sum(dim=1, keepdim=True).clamp(min=1.0)
    return -(wanted * log_probs).sum(dim=1).mean()
