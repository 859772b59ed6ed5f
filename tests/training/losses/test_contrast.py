"""Pixel contrast, worked by hand: the loss, and which pixels are anchors and negatives."""

import math

import pytest
import torch
from torch import Tensor

from training.losses.contrast import (
    anchor_labels,
    category_ranks,
    info_nce_loss,
    source_negatives,
    surest,
    target_negatives,
)

# Six pixels of four classes: sure of 0, surer of 1, even between 2 and 3, torn by all, sure of 3, most of 2.
PROBS = torch.tensor(
    [
        [0.90, 0.06, 0.03, 0.01],
        [0.01, 0.97, 0.015, 0.005],
        [0.02, 0.03, 0.47, 0.48],
        [0.25, 0.26, 0.24, 0.25],
        [0.02, 0.01, 0.02, 0.95],
        [0.20, 0.10, 0.60, 0.10],
    ]
)


def test_loss_is_the_share_of_the_positive() -> None:
    # At temperature 1/2: one anchor with e^2 among e^2 + e^0 + e^1, one with e^0 among e^0 + e^2 + e^-2.
    positive, negative = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.5], [1.0, -1.0]])
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(1)))
    second = -math.log(1 / (1 + math.exp(2) + math.exp(-2)))
    found = info_nce_loss(positive, negative, temperature=0.5)
    assert float(found) == pytest.approx((first + second) / 2)


def test_loss_pulls_to_the_positive_and_away_from_negatives() -> None:
    positive, negative = torch.tensor([0.3], requires_grad=True), torch.tensor([[0.1, 0.2]], requires_grad=True)
    info_nce_loss(positive, negative, temperature=0.5).backward()  # type: ignore[no-untyped-call]
    assert positive.grad is not None
    assert negative.grad is not None
    assert float(positive.grad) < 0
    assert (negative.grad > 0).all()
    # A softmax's gradients cancel.
    assert float(positive.grad + negative.grad.sum()) == pytest.approx(0, abs=1e-6)


def test_ranks_count_the_more_probable_classes() -> None:
    assert category_ranks(PROBS[[0, 2, 5]]).tolist() == [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3]]


def test_surest_pixels_are_those_of_lowest_entropy_whatever_their_class() -> None:
    assert surest(PROBS, 0.5).tolist() == [True, True, False, False, True, False]
    assert surest(PROBS, 0.17).tolist() == [False, True, False, False, False, False]
    assert not surest(PROBS, 0.0).any()


def test_certain_pixel_has_no_entropy() -> None:
    assert surest(torch.tensor([[0.9, 0.1], [1.0, 0.0]]), 0.5).tolist() == [False, True]


def test_anchor_is_sure_and_its_class_probable_enough() -> None:
    is_sure = torch.tensor([True, True, False, True, False, False])
    assert anchor_labels(PROBS, is_sure, least_probability=0.3).tolist() == [0, 1, 255, 255, 255, 255]


def names(is_negative: Tensor) -> list[list[int]]:
    """The classes that each pixel is a negative of."""
    return [row.nonzero()[:, 0].tolist() for row in is_negative]


def test_unsure_pixel_is_a_negative_of_classes_far_behind() -> None:
    is_sure = torch.tensor([True, True, False, False, True, False])
    assert names(target_negatives(PROBS, is_sure, rank=2)) == [[], [], [0, 1], [2, 3], [], [1, 3]]
    assert names(target_negatives(PROBS, is_sure, rank=3)) == [[], [], [0], [2], [], [3]]


def test_source_pixel_is_a_negative_of_classes_it_is_taken_for() -> None:
    labels = torch.tensor([0, 0, 2, 255, 3, 1])
    assert names(source_negatives(PROBS, labels, rank=2)) == [[1], [1, 2], [3], [], [0], [0, 2]]
