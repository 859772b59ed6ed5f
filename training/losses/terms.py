"""The loss terms of IAPC (arXiv 2306.01598) as pure functions of tensors.

All means are over ALL pixels of the crop, as in the reference code, so that a term shrinks with the share of
pixels it applies to. Logarithms are natural. Symbols: N images, C classes, (H, W) crop, (h, w) features.
"""

from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.distributed import ALONE, World

__all__ = [
    "ImportanceForm",
    "divergence",
    "importance_map",
    "importance_weighted_loss",
    "information_maximisation_loss",
    "prior_divergence",
    "prototype_enhanced_loss",
    "prototype_symmetric_loss",
]

ImportanceForm = Literal["prob_ratio", "logit_ratio", "margin", "none"]


def importance_map(logits: Tensor, form: ImportanceForm = "prob_ratio") -> Tensor:
    """How far the source network's first choice is ahead of its second, per pixel (eq. 4).

    Args:
        logits: (N, C, H, W).
        form: `prob_ratio` is 1 - p2/p1 = 1 - exp(z2 - z1), what the paper's text defines. `logit_ratio` is
            1 - z2/z1 on raw logits, what the authors' code computes; it depends on the logits' offset and leaves
            [0, 1], so it is clamped. `margin` is p1 - p2. `none` is 1 everywhere (the ablation "P").

    Returns:
        (N, H, W) in [0, 1]; 0 where two classes tie.
    """
    if form == "none":
        return torch.ones_like(logits[:, 0])
    # Two maxima instead of a top-2: sorting along a strided dimension is several times slower.
    first, winner = logits.max(dim=1)
    second = logits.scatter(1, winner.unsqueeze(1), float("-inf")).amax(dim=1)
    match form:
        case "prob_ratio":
            return 1.0 - torch.exp(second - first)
        case "logit_ratio":
            return torch.nan_to_num(1.0 - second / first, nan=0.0).clamp(0.0, 1.0)
        case "margin":
            log_sum = torch.logsumexp(logits, dim=1)
            return torch.exp(first - log_sum) - torch.exp(second - log_sum)
        case _:
            assert_never(form)


def importance_weighted_loss(
    log_probs: Tensor, pseudo_labels: Tensor, importance: Tensor, class_weights: Tensor
) -> Tensor:
    """Cross-entropy to the pseudo-labels, weighted by importance and class (eq. 5, L_IA).

    Args:
        log_probs: (N, C, H, W), the student's log-probabilities.
        pseudo_labels: (N, H, W) train ids; `IGNORE_INDEX` pixels add nothing.
        importance: (N, H, W).
        class_weights: (C,).

    Returns:
        Scalar; 0 when every pixel is ignored.
    """
    return (importance * _pixel_cross_entropy(log_probs, pseudo_labels, class_weights)).mean()


def information_maximisation_loss(log_probs: Tensor) -> Tensor:
    """Mean entropy of the student's prediction, in nats (eq. 6, L_IM).

    Entropy only, as in the authors' code: the paper's diversity term wants all classes equally often, which no
    street does. `prior_divergence` is the form of it that respects class frequencies.

    Args:
        log_probs: (N, C, H, W).

    Returns:
        Scalar in [0, log C].
    """
    return -(log_probs.exp() * log_probs).sum(dim=1).mean()


def prior_divergence(log_probs: Tensor, class_prior: Tensor, world: World = ALONE) -> Tensor:
    """KL divergence of the batch's mean prediction from a class prior; an optional diversity term (ours).

    Args:
        log_probs: (N, C, H, W).
        class_prior: (C,), positive, sums to 1.
        world: whose processes share the batch; the divergence is that of all of it.

    Returns:
        Scalar >= 0.
    """
    mean_probs = world.mean(log_probs.exp().mean(dim=(0, 2, 3)))
    return torch.sum(mean_probs * (torch.log(mean_probs + 1e-8) - torch.log(class_prior)))


def prototype_symmetric_loss(
    log_probs: Tensor, similarity: Tensor, *, temperature: float, align_corners: bool = False
) -> Tensor:
    """Student prediction and prototype prediction teach each other (eq. 9, L_PS).

    The first half trains the classifier towards the prototypes' labels, the second half the features towards the
    student's own labels. Labels are constants.

    Args:
        log_probs: (N, C, H, W), the student's log-probabilities.
        similarity: (N, C, h, w) of the student's features to the prototypes; -inf masks absent classes.
        temperature: divides the similarities. The paper has 1, at which the term is nearly constant: 19 cosines in
            [0, 1] cannot give a probability above 0.13.
        align_corners: how the network's maps lie on the image.

    Returns:
        Scalar.
    """
    hw = (int(log_probs.shape[2]), int(log_probs.shape[3]))
    towards_prototypes = F.nll_loss(log_probs, nearest_labels(similarity.argmax(dim=1), hw))
    # Interpolating -inf gives NaN; a finite floor keeps absent classes out of the softmax all the same.
    scores = (similarity / temperature).clamp(min=-1e4)
    scores = F.interpolate(scores, size=hw, mode="bilinear", align_corners=align_corners)
    # A class the prototypes do not know cannot be taught to the features.
    labels = log_probs.max(dim=1).indices  # several times faster than argmax along a strided dimension
    known = torch.isfinite(similarity).any(dim=(2, 3)).gather(1, labels.flatten(1)).view_as(labels)
    towards_student = F.cross_entropy(scores, labels, reduction="none")
    return towards_prototypes + torch.where(known, towards_student, 0.0).mean()


def prototype_enhanced_loss(
    log_probs: Tensor, prototype_labels: Tensor, pseudo_labels: Tensor, class_weights: Tensor
) -> Tensor:
    """Class-weighted cross-entropy where prototypes and source agree on the label (eq. 10, L_PE).

    Args:
        log_probs: (N, C, H, W), the student's log-probabilities.
        prototype_labels: (N, H, W).
        pseudo_labels: (N, H, W); `IGNORE_INDEX` never agrees.
        class_weights: (C,).

    Returns:
        Scalar; 0, with a finite gradient, when no pixel agrees.
    """
    agreed = torch.where(prototype_labels == pseudo_labels, pseudo_labels, IGNORE_INDEX)
    return _pixel_cross_entropy(log_probs, agreed, class_weights).mean()


def divergence(logits: Tensor, expected: Tensor) -> Tensor:
    """How far the predictions of two logits (N, C, h, w) are apart: the mean of sum p log(p / q) over all cells.

    Not of the paper; for networks that are to predict the same, such as one and its rounded form.
    """
    log_probs, wanted = logits.float().log_softmax(dim=1), expected.float().log_softmax(dim=1)
    return F.kl_div(log_probs, wanted, reduction="none", log_target=True).sum(dim=1).mean()


def nearest_labels(labels: Tensor, hw: tuple[int, int]) -> Tensor:
    """Resize (N, h, w) integer labels to (N, *hw) by nearest neighbour."""
    return F.interpolate(labels[:, None].float(), size=hw, mode="nearest")[:, 0].long()


def _pixel_cross_entropy(log_probs: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    return F.nll_loss(log_probs, labels, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="none")
