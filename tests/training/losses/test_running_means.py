"""Means of classes over steps."""

import pytest
import torch

from training.device import Compute
from training.losses.running_means import RunningMeans


@pytest.fixture
def means(compute: Compute) -> RunningMeans:
    return RunningMeans(3, 2, momentum=0.6, compute=compute)


def test_first_step_is_the_mean_and_later_ones_move_it(means: RunningMeans) -> None:
    # Class 0: (4, 8) / 2, then half of the way to (6, 0), then 0.4 of the way to (0, 2). Class 1: only in the second.
    means.update(torch.tensor([[4.0, 8.0], [0, 0], [0, 0]]), torch.tensor([2, 0, 0]))
    torch.testing.assert_close(means.means[0], torch.tensor([2.0, 4.0]))
    means.update(torch.tensor([[6.0, 0.0], [9.0, 3.0], [0, 0]]), torch.tensor([1, 3, 0]))
    torch.testing.assert_close(means.means, torch.tensor([[4.0, 2.0], [3.0, 1.0], [0, 0]]))
    means.update(torch.tensor([[0.0, 2.0], [0, 0], [0, 0]]), torch.tensor([1, 0, 0]))
    torch.testing.assert_close(means.means, torch.tensor([[2.4, 2.0], [3.0, 1.0], [0, 0]]))
    assert means.is_known.tolist() == [True, True, False]


def test_momentum_of_one_keeps_the_plain_mean(compute: Compute) -> None:
    means = RunningMeans(1, 1, momentum=1.0, compute=compute)
    for value in (1.0, 2.0, 6.0):
        means.update(torch.tensor([[value]]), torch.tensor([1]))
    torch.testing.assert_close(means.means, torch.tensor([[3.0]]))


def test_images_without_a_class_do_not_count_for_it(means: RunningMeans) -> None:
    means.update_by_images(torch.tensor([[[1.0, 2.0], [0, 0], [0, 0]], [[3.0, 0.0], [5.0, 5.0], [0, 0]]]))
    torch.testing.assert_close(means.means, torch.tensor([[2.0, 1.0], [5.0, 5.0], [0, 0]]))


def test_means_go_on_where_their_state_left(means: RunningMeans, compute: Compute) -> None:
    other = RunningMeans(3, 2, momentum=0.6, compute=compute)
    sums, counts = torch.arange(6.0).reshape(3, 2), torch.tensor([1, 1, 2])
    means.update(sums, counts)
    other.load_state("a", means.state("a"))
    for one in (means, other):
        one.update(2 * sums, counts)
    assert torch.equal(means.means, other.means)
