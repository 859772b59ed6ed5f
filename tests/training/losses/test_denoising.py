"""Prototype denoising worked by hand."""

import math

import pytest
import torch

from training.losses.denoising import assignment_logits, denoised_labels, symmetric_loss


def test_assignment_is_by_distance_over_temperature() -> None:
    # Distances 1 and 3, and no prototype of the third class.
    found = assignment_logits(torch.tensor([1.0, 9.0, math.inf]).view(1, 3, 1, 1), 2.0).softmax(dim=1)
    near = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([near, 1 - near, 0.0]))


def test_gradient_is_finite_on_a_prototype_and_without_one() -> None:
    squares = torch.tensor([0.0, 4.0, math.inf]).view(1, 3, 1, 1).requires_grad_()
    assignment_logits(squares, 1.0).log_softmax(dim=1)[0, 1].sum().backward()  # type: ignore[no-untyped-call]
    assert squares.grad is not None
    assert squares.grad.isfinite().all()


def test_label_is_the_likeliest_of_products() -> None:
    # 0.6 * 0.2 < 0.4 * 0.8; 0.9 * 0.4 > 0.1 * 0.6.
    probs = torch.tensor([[[[0.6, 0.9]], [[0.4, 0.1]]]])
    assignment = torch.tensor([[[[0.2, 0.4]], [[0.8, 0.6]]]])
    assert denoised_labels(probs, assignment).tolist() == [[[1, 0]]]


def test_assignment_is_brought_to_the_size_of_the_crop() -> None:
    probs = torch.full((1, 2, 4, 4), 0.5)
    assignment = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert denoised_labels(probs, assignment).tolist() == [[[0] * 4] * 4]


def test_symmetric_loss_adds_the_reverse_cross_entropy() -> None:
    # Probabilities 1/2 and 1/4 of the labels, class weights 3 and 1; the reverse is 9.21 times 1/2 and 3/4.
    log_probs = torch.tensor([[[[0.5, 0.75]], [[0.5, 0.25]]]]).log()
    labels, weights = torch.tensor([[[0, 1]]]), torch.tensor([3.0, 1.0])
    found = symmetric_loss(log_probs, labels, weights, forwards=0.1, backwards=1.0)
    nine = -math.log(1e-4)
    one, other = 0.1 * math.log(2) + nine / 2, 0.1 * math.log(4) + 0.75 * nine
    assert float(found) == pytest.approx((3 * one + other) / 2, rel=1e-5)


def test_certain_student_costs_nothing() -> None:
    log_probs = torch.tensor([[[[30.0]], [[0.0]]]]).log_softmax(dim=1)
    found = symmetric_loss(log_probs, torch.tensor([[[0]]]), torch.ones(2), forwards=1.0, backwards=1.0)
    assert float(found) == pytest.approx(0.0, abs=1e-6)
