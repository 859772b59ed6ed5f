"""Contrast between pixels by their labels (Khosla et al., NeurIPS 2020; between pixels, Wang et al., ICCV 2021)."""

import torch
from torch import Tensor

__all__ = ["draw_anchors", "pixel_contrast_loss"]


def draw_anchors(labels: Tensor, is_eligible: Tensor, count: int) -> Tensor:
    """Places in the flattened maps of at most `count` pixels, none twice; every class is as likely to be drawn first.

    Args:
        labels: (N, h, w) train ids, at least where eligible.
        is_eligible: (N, h, w) bool.
        count: of pixels.

    Returns:
        (P,) int64, P being 0 where no pixel is eligible.
    """
    places = is_eligible.flatten().nonzero()[:, 0]
    if len(places) == 0:
        return places
    ids = labels.flatten()[places]
    likely = 1.0 / torch.bincount(ids)[ids].float()
    # Drawn on the CPU, so that what is drawn does not depend on the device.
    drawn = torch.multinomial(likely.cpu(), min(count, len(places)))
    return places[drawn.to(places.device)]


def pixel_contrast_loss(embeddings: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Pixels of a class are to be found among all others by their similarity; mean over pixels, scalar.

    For each pixel the mean, over the others of its class, of -log softmax of its similarities to all others.

    Args:
        embeddings: (P, D) of length 1.
        labels: (P,) train ids.
        temperature: divides the similarities.

    Returns:
        0, with a finite gradient, when no two pixels are of one class; pixels alone in their class count nothing.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarity = embeddings @ embeddings.T / temperature
    similarity = similarity.masked_fill(itself, torch.finfo(similarity.dtype).min)
    is_positive = (labels[:, None] == labels) & ~itself
    num_positive = is_positive.sum(dim=1)
    log_probs = similarity.log_softmax(dim=1)
    losses = -torch.where(is_positive, log_probs, 0.0).sum(dim=1) / num_positive.clamp(min=1)
    return losses.sum() / (num_positive > 0).sum().clamp(min=1)
