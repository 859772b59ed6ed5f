"""Refinement of labels: whom it learns from, what of, and how far it is believed, worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from training.losses.refinement import lifted_by_class, noise_loss, refinement_loss, trusted_labels
from training.networks.refinement import Refined, RefinementNetwork

IGNORED = 255


def logits_of(*cells: list[float]) -> Tensor:
    """(1, C, 1, num cells) logits of probabilities."""
    return torch.tensor(cells).T.log().reshape(1, len(cells[0]), 1, len(cells))


def test_cell_is_trusted_where_views_agree_and_the_first_is_sure() -> None:
    # Ahead by 1 - 0.05 / 0.95 = 0.947, 1 - 0.3 / 0.7 = 0.571 and 0.947; of the last another view thinks otherwise.
    first = logits_of([0.05, 0.95], [0.7, 0.3], [0.95, 0.05])
    other = logits_of([0.4, 0.6], [0.7, 0.3], [0.4, 0.6])
    assert trusted_labels([first, other], 0.9).tolist() == [[[1, IGNORED, IGNORED]]]
    assert trusted_labels([first, other], 0.5).tolist() == [[[1, 0, IGNORED]]]
    assert trusted_labels([first], 0.9).tolist() == [[[1, IGNORED, 0]]]


def test_noisy_cells_weigh_what_the_clean_are_to_them() -> None:
    # One noisy cell of four labelled: weight 3. At a logit of 0 every cell costs log 2.
    is_noise = torch.tensor([[[True, False, False, False, True]]])
    is_labelled = torch.tensor([[[True, True, True, True, False]]])
    found = noise_loss(torch.zeros(1, 1, 5), is_noise, is_labelled)
    assert float(found) == pytest.approx((3 + 1 + 1 + 1) * math.log(2) / 4)


@pytest.mark.parametrize(("num_noisy", "weight"), [(1, 10), (8, 1)])
def test_weight_of_noisy_cells_is_bounded(num_noisy: int, weight: int) -> None:
    # 1 of 16 would weigh 15, 8 of 16 weigh 1, 15 of 16 would weigh 1/15.
    is_noise = torch.arange(16).reshape(1, 1, 16) < num_noisy
    found = noise_loss(torch.zeros(1, 1, 16), is_noise, torch.ones_like(is_noise))
    assert float(found) == pytest.approx((weight * num_noisy + 16 - num_noisy) * math.log(2) / 16)
    most = noise_loss(torch.zeros(1, 1, 16), torch.arange(16).reshape(1, 1, 16) < 15, torch.ones_like(is_noise))
    assert float(most) == pytest.approx(math.log(2))


def test_refinement_learns_the_label_and_where_the_given_one_was_wrong() -> None:
    # Right labels 1, 0 and none; the given ones are 0 (wrong) and 0 (right). Corrected to 0.25 and 0.5 of the right.
    given = logits_of([0.9, 0.1], [0.9, 0.1], [0.9, 0.1])
    refined = Refined(logits_of([0.75, 0.25], [0.5, 0.5], [0.1, 0.9]), torch.tensor([[[0.0, 0.0, 9.0]]]))
    found = refinement_loss(refined, given, torch.tensor([[[1, 0, IGNORED]]]))
    assert float(found) == pytest.approx((math.log(4) + math.log(2)) / 2 + math.log(2), rel=1e-6)


def test_nothing_labelled_gives_no_loss_and_no_gradient() -> None:
    logits, noise = torch.zeros(1, 2, 1, 3, requires_grad=True), torch.zeros(1, 1, 3, requires_grad=True)
    loss = refinement_loss(Refined(logits, noise), logits.detach(), torch.full((1, 1, 3), IGNORED))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert all(tensor.grad is not None and not tensor.grad.any() for tensor in (logits, noise))


def test_class_below_the_floor_is_lifted_to_it_and_no_other() -> None:
    # Class 0 has a mean of 0.05: each pixel is lifted by (0.1 - 0.05) / 0.95 of what it lacks. Class 1 has 0.5.
    weights, labels = torch.tensor([[[0.0, 0.1, 0.4, 0.6]]]), torch.tensor([[[0, 0, 1, 1]]])
    found = lifted_by_class(weights, labels, 3, 0.1)
    lift = 0.05 / 0.95
    assert found.flatten().tolist() == pytest.approx([lift, 0.1 + 0.9 * lift, 0.4, 0.6])
    assert float(found[labels == 0].mean()) == pytest.approx(0.1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_weights_at_their_bounds_stay_within_them(value: float) -> None:
    labels = torch.tensor([[[0, 1, 1]]])
    found = lifted_by_class(torch.full((1, 1, 3), value), labels, 2, 0.1)
    assert found.flatten().tolist() == pytest.approx([max(value, 0.1)] * 3)


def test_untrained_network_changes_no_label_and_suspects_nothing() -> None:
    logits = torch.randn(2, 4, 6, 8)
    refined = RefinementNetwork(5, 4)(torch.randn(2, 5, 3, 4), logits)
    assert torch.equal(refined.logits, logits)
    assert refined.noise.shape == (2, 6, 8)
    assert not refined.noise.any()


def test_network_learns_to_undo_an_error_and_to_find_it() -> None:
    # Class 2 is given wherever the features say 1 but half of the cells that have them; all others are right.
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(2, 8, 8)[:, :, :24]
    features = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    is_wrong = (labels == 1) & (torch.rand(labels.shape) < 0.5)
    given = 4 * torch.nn.functional.one_hot(torch.where(is_wrong, 2, labels), 3).permute(0, 3, 1, 2).float()
    network = RefinementNetwork(3, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        refinement_loss(network(features, given), given, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    refined = network(features, given)
    assert float((given.argmax(dim=1) == labels).float().mean()) < 0.9
    assert bool((refined.logits.argmax(dim=1) == labels).all())
    assert bool(((refined.noise > 0) == is_wrong).all())
