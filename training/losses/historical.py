"""What HCL (NeurIPS 2021) computes from predictions and embeddings: agreement, reliability, contrast of pixels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX

__all__ = ["agreement", "instance_loss", "reliability"]

# Similarity to a pixel without a label: finite, because a row of infinities has no softmax.
NEVER = -1e4


def agreement(historical: Tensor, momentum: Tensor) -> Tensor:
    """exp(-KL(historical || momentum)) of two logits (N, C, h, w), (N, h, w) in (0, 1]."""
    log_probs, expected = momentum.float().log_softmax(dim=1), historical.float().log_softmax(dim=1)
    return torch.exp(-F.kl_div(log_probs, expected, reduction="none", log_target=True).sum(dim=1))


def reliability(logits: Tensor) -> Tensor:
    """1.1 minus the entropy as a share of the largest there can be, within [0.9, 1.1]; (N, C, h, w) -> (N, h, w)."""
    log_probs = logits.float().log_softmax(dim=1)
    entropy = -(log_probs.exp() * log_probs).sum(dim=1)
    return (1.1 - entropy / math.log(logits.shape[1])).clamp(0.9, 1.1)


def instance_loss(queries: Tensor, keys: Tensor, labels: Tensor, reliability: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE of labelled pixels, each against all of its image; mean over queries, scalar.

    Every key counts as often as it is reliable, in numerator and denominator; of several keys of a query's class the
    mean of their terms is taken. The query's own place is one of them; the authors leave it out. Readings are ours.

    Args:
        queries: (N, P, D), not normalised.
        keys: (N, P, D) of the same places.
        labels: (N, P); pixels without a label are neither queries nor keys.
        reliability: (N, P) of the keys, above 0.
        temperature: divides cosines.
    """
    similarity = F.normalize(queries, dim=2) @ F.normalize(keys, dim=2).transpose(1, 2) / temperature
    is_labelled = labels != IGNORE_INDEX
    scores = (similarity + reliability.log()[:, None]).masked_fill(~is_labelled[:, None], NEVER)
    is_same = (labels[:, :, None] == labels[:, None]) & is_labelled[:, :, None]
    losses = -torch.where(is_same, scores.log_softmax(dim=2), 0.0).sum(dim=2) / is_same.sum(dim=2).clamp(min=1)
    return losses.sum() / is_labelled.sum().clamp(min=1)
