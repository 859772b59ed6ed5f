"""The term of methods that also learn from labelled source crops."""

import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX

__all__ = ["source_loss"]


def source_loss(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy to the source's labels, mean over the labelled pixels, without class weights; scalar.

    Args:
        log_probs: (N, C, H, W), the student's log-probabilities of source crops.
        labels: (N, H, W) train ids; `IGNORE_INDEX` pixels are unlabelled.

    Returns:
        0, with a finite gradient, when no pixel is labelled.
    """
    total = F.nll_loss(log_probs, labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (labels != IGNORE_INDEX).sum().clamp(min=1)
