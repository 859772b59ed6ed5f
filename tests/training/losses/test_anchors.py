"""Distances to anchors, which pixels are active, and the pull; worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from training.losses.anchors import active_labels, pull_loss, squared_distances

# Two anchors 4 apart, and one that is far.
ANCHORS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [100.0, 100.0]])
ALL = torch.tensor([True, True, True])


def row(*vectors: tuple[float, float]) -> Tensor:
    """(1, 2, 1, number of vectors) features."""
    return torch.tensor(vectors, dtype=torch.float32).T[None, :, None]


def test_distances_are_squared_and_infinite_to_what_is_unknown() -> None:
    found = squared_distances(row((1, 2), (4, 3)), ANCHORS, torch.tensor([True, True, False]))
    assert found[0, :, 0].T.tolist() == [[5, 13, math.inf], [25, 9, math.inf]]


def test_pixels_are_active_that_are_nearer_by_a_share_of_the_anchors_distance() -> None:
    # Along the line between the two, at 0, 0.9, 1.1, 2.9 and 3.2 of 4: ahead by 16, 8.8, 7.2, 7.2 and 9.6 of 16.
    features = row((0, 0), (0.9, 0), (1.1, 0), (2.9, 0), (3.2, 0))
    found = active_labels(squared_distances(features, ANCHORS, ALL), ANCHORS, 0.5)
    assert found.tolist() == [[[0, 0, 255, 255, 1]]]


def test_what_is_aside_of_the_line_between_anchors_does_not_count() -> None:
    features = row((0.9, -7.0), (1.1, -7.0))
    found = active_labels(squared_distances(features, ANCHORS, ALL), ANCHORS, 0.5)
    assert found.tolist() == [[[0, 255]]]


@pytest.mark.parametrize("num_known", [0, 1])
def test_no_pixel_is_active_without_a_second_anchor(num_known: int) -> None:
    is_known = torch.arange(3) < num_known
    found = active_labels(squared_distances(row((0, 0)), ANCHORS, is_known), ANCHORS, 0.0)
    assert found.tolist() == [[[255]]]


def test_pull_is_the_mean_squared_distance_per_channel() -> None:
    # (1 + 4) / 2 to anchor 0, (0 + 9) / 2 to anchor 1; the third pixel has no label.
    found = pull_loss(row((1, 2), (4, 3), (50, 50)), torch.tensor([[[0, 1, 255]]]), ANCHORS)
    assert float(found) == pytest.approx((2.5 + 4.5) / 2)


def test_no_active_pixel_pulls_nothing() -> None:
    features = row((1, 2)).requires_grad_()
    loss = pull_loss(features, torch.tensor([[[255]]]), ANCHORS)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert not features.grad.any()
