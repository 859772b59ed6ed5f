"""Cross-entropy to the labels of source crops."""

import math

import pytest
import torch

from training.methods.parts.source_loss import source_loss


def test_mean_is_of_labelled_pixels() -> None:
    # Labels 0, 1 and none, at probabilities 1/2 and 1/8.
    log_probs = torch.tensor([[[[0.5, 0.875, 0.1]], [[0.5, 0.125, 0.9]]]]).log()
    found = source_loss(log_probs, torch.tensor([[[0, 1, 255]]]))
    assert float(found) == pytest.approx((math.log(2) + math.log(8)) / 2)


def test_no_label_gives_no_loss_and_no_gradient() -> None:
    logits = torch.zeros(1, 2, 1, 3, requires_grad=True)
    loss = source_loss(logits.log_softmax(dim=1), torch.full((1, 1, 3), 255))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
