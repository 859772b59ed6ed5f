"""Contrast between pixels: who is compared, with whom, and what it costs."""

import math

import pytest
import torch

from training.losses.pixel_contrast import draw_anchors, pixel_contrast_loss


def test_pixels_of_a_class_are_to_be_alike_and_others_not() -> None:
    # Two alike of class 0, one at a right angle of class 1. Each of the two sees 1 and 0, the third counts nothing.
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = pixel_contrast_loss(embeddings, torch.tensor([0, 0, 1]), temperature=0.5)
    assert float(found) == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 1)))


def test_loss_of_a_pixel_is_the_mean_over_the_others_of_its_class() -> None:
    # Of three of one class the first two are opposite, the third is at a right angle to both; softmax by hand.
    embeddings = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    found = pixel_contrast_loss(embeddings, torch.tensor([4, 4, 4]), temperature=1.0)
    log_sum = math.log(math.exp(-1) + 1)
    assert float(found) == pytest.approx((2 * (log_sum - (-1 + 0) / 2) + math.log(2)) / 3)


@pytest.mark.parametrize("labels", [[], [3], [0, 1, 2]])
def test_pixels_alone_in_their_class_cost_nothing(labels: list[int]) -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(len(labels), 4), dim=1).requires_grad_()
    loss = pixel_contrast_loss(embeddings, torch.tensor(labels, dtype=torch.int64), temperature=0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_anchors_are_eligible_and_drawn_once() -> None:
    labels = torch.tensor([[[0, 1, 2], [0, 1, 2]]])
    is_eligible = torch.tensor([[[True, True, False], [True, False, False]]])
    torch.manual_seed(0)
    assert sorted(draw_anchors(labels, is_eligible, 9).tolist()) == [0, 1, 3]
    assert len(draw_anchors(labels, is_eligible, 2)) == 2
    assert len(draw_anchors(labels, torch.zeros_like(is_eligible), 2)) == 0


def test_rare_class_is_drawn_as_often_as_a_frequent_one() -> None:
    labels = torch.zeros(1, 10, 100, dtype=torch.int64)
    labels[0, 0, :4] = 1
    torch.manual_seed(0)
    drawn = [int(labels.flatten()[draw_anchors(labels, labels < 5, 1)]) for _ in range(400)]
    assert 150 < sum(drawn) < 250
