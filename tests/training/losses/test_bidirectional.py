"""BiCL's losses and labels, worked by hand on features of two channels."""

import math

import pytest
import torch
from torch import Tensor

from training.device import Compute
from training.losses.bidirectional import (
    bidirectional_losses,
    contrast_loss,
    dynamic_labels,
    hybrid_labels,
)
from training.losses.running_means import RunningMeans
from training.methods.bicl import calibrated
from training.methods.bicl_source_free import partly_calibrated

# Cosine of (3, 4) to (1, 0) is 0.6, to (0, 1) it is 0.8.
X, Y, BETWEEN = (1.0, 0.0), (0.0, 1.0), (3.0, 4.0)


def row(*vectors: tuple[float, ...]) -> Tensor:
    """(1, D, 1, number of vectors) features."""
    return torch.tensor(vectors).T[None, :, None]


def labels(*values: int) -> Tensor:
    return torch.tensor(values)[None, None]


def log_share(own: float, *cosines: float) -> float:
    """-log of the softmax share of the first of some cosines, at temperature 0.1."""
    return -math.log(math.exp(10 * own) / sum(math.exp(10 * cosine) for cosine in (own, *cosines)))


def test_contrast_is_cross_entropy_of_cosines_over_pixels_whose_class_has_a_prototype() -> None:
    # Pixels: class 0 at cosines 0.6 and 0.8; class 1 at 0 and 1; class 2, which has no prototype; none.
    prototypes = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [0.0, 0.0]]])
    found = contrast_loss(row(BETWEEN, Y, X, X), labels(0, 1, 2, 255), prototypes)
    # The absent class has a cosine of -1 in every sum.
    expected = (log_share(0.6, 0.8, -1) + log_share(1, 0, -1)) / 2
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_contrast_is_a_mean_over_images_and_one_without_a_common_class_adds_nothing() -> None:
    prototypes = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
    features = torch.cat([row(BETWEEN), row(X)])
    found = contrast_loss(features, torch.cat([labels(0), labels(0)]), prototypes)
    assert float(found) == pytest.approx(log_share(0.6, 0.8) / 2, rel=1e-5)


def test_image_without_any_prototype_has_a_finite_gradient() -> None:
    features = row(BETWEEN, X).requires_grad_()
    loss = contrast_loss(features, labels(0, 1), torch.zeros(1, 2, 2))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_each_domain_is_contrasted_with_prototypes_of_the_other() -> None:
    # Source: class 0 at X, class 1 at Y. Target: class 0 at BETWEEN, class 2 at Y. Only class 0 is common to both.
    source, target = row(X, Y), row(BETWEEN, Y)
    forward, backward = bidirectional_losses(source, labels(0, 1), target, labels(0, 2), 3)
    assert float(forward) == pytest.approx(log_share(0.6, 0.8, -1), rel=1e-5)
    assert float(backward) == pytest.approx(log_share(0.6, -1, 0), rel=1e-4)


def test_gradients_reach_the_prototypes_of_both_domains() -> None:
    source, target = row(X, Y).requires_grad_(), row(BETWEEN, Y).requires_grad_()
    forward, _ = bidirectional_losses(source, labels(0, 1), target, labels(0, 1), 2)
    forward.backward()  # type: ignore[no-untyped-call]
    for features in (source, target):
        assert features.grad is not None
        assert features.grad.any()


def test_pixels_more_similar_than_the_threshold_are_labelled() -> None:
    similarity = torch.tensor([[[[0.9, 0.6, 0.1, -math.inf]], [[0.5, 0.85, 0.8, -math.inf]]]])
    assert dynamic_labels(similarity, 0.8).tolist() == [[[0, 1, 255, 255]]]


def test_static_labels_stand_where_there_is_no_dynamic_one() -> None:
    assert hybrid_labels(labels(2, 255, 255), labels(1, 3, 255)).tolist() == [[[2, 3, 255]]]


@pytest.fixture
def source_and_target(compute: Compute) -> tuple[RunningMeans, RunningMeans]:
    """Class 0 is known of both domains, 1 of the source alone, 2 of none."""
    source, target = (RunningMeans(3, 2, momentum=1.0, compute=compute) for _ in range(2))
    source.update(torch.tensor([[1.0, 2.0], [5.0, 5.0], [0, 0]]), torch.tensor([1, 1, 0]))
    target.update(torch.tensor([[3.0, 1.0], [0, 0], [0, 0]]), torch.tensor([1, 0, 0]))
    return source, target


def test_calibration_adds_how_far_the_means_are_apart(source_and_target: tuple[RunningMeans, RunningMeans]) -> None:
    # Image 0 shows classes 0 and 1, image 1 none.
    prototypes = torch.tensor([[[10.0, 10.0], [6.0, 6.0], [0, 0]], [[0.0, 0.0], [0, 0], [0, 0]]])
    found = calibrated(prototypes, *source_and_target)
    assert found.tolist() == [[[12, 9], [6, 6], [0, 0]], [[0, 0], [0, 0], [0, 0]]]


@pytest.mark.parametrize(("share", "expected"), [(0.0, [1, 2]), (0.25, [1.5, 1.75]), (1.0, [3, 1])])
def test_partial_calibration_goes_from_the_source_mean_to_the_targets(
    source_and_target: tuple[RunningMeans, RunningMeans], share: float, expected: list[float]
) -> None:
    assert partly_calibrated(*source_and_target, share).tolist() == [expected, [5, 5], [0, 0]]
