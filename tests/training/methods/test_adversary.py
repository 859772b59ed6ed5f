"""A discriminator beside the student: what it is asked, when it learns, and what is kept of it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.errors import ConfigError
from training.device import Compute
from training.methods.parts.adversary import SOURCE, TARGET, Adversary, Discriminator, domain_loss

HW = (32, 64)


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    """Source maps of one class each, target maps that know nothing, of three classes."""
    classes = torch.randint(0, 3, (2, *HW), generator=torch.Generator().manual_seed(0))
    source = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    return source, torch.full((2, 3, *HW), 1 / 3)


def adversary_of(compute: Compute, seed: int = 0) -> Adversary:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Adversary(3, 1e-3, compute)


def losses_after(adversary: Adversary, maps: tuple[Tensor, Tensor], steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        adversary.learn(*maps)
        found.append(float(adversary.fooled_loss(maps[1])))
    return found


def test_loss_is_of_the_domain_that_is_asked_for() -> None:
    # Odds of 3 to 1 for the target, and even odds.
    scores = torch.tensor([math.log(3), 0.0])
    assert float(domain_loss(scores, TARGET)) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert float(domain_loss(scores, SOURCE)) == pytest.approx((math.log(4) + math.log(2)) / 2)


@pytest.mark.parametrize(("hw", "cells"), [((96, 192), (3, 6)), ((32, 48), (1, 1)), ((100, 70), (3, 2))])
def test_map_is_halved_five_times(hw: tuple[int, int], cells: tuple[int, int]) -> None:
    assert Discriminator(3)(torch.zeros(2, 3, *hw)).shape == (2, 1, *cells)


def test_adversary_learns_to_tell_target_from_source(compute: Compute, maps: tuple[Tensor, Tensor]) -> None:
    adversary = adversary_of(compute)
    before = float(adversary.fooled_loss(maps[1]))
    assert losses_after(adversary, maps, 30)[-1] > before + 1
    assert float(adversary.fooled_loss(maps[0])) < 0.3


def test_gradient_for_the_student_is_none_for_the_adversary(compute: Compute, maps: tuple[Tensor, Tensor]) -> None:
    adversary, shown = adversary_of(compute), maps[1].clone().requires_grad_(True)
    torch.autograd.backward(adversary.fooled_loss(shown))
    assert shown.grad is not None
    assert shown.grad.any()
    assert all(parameter.grad is None for parameter in adversary.discriminator.parameters())
    adversary.learn(maps[0], shown.detach().requires_grad_(True))
    assert all(parameter.grad is None for parameter in adversary.discriminator.parameters())


def test_adversary_goes_on_where_its_state_left(compute: Compute, maps: tuple[Tensor, Tensor]) -> None:
    adversary, other = adversary_of(compute), adversary_of(compute, seed=1)
    losses_after(adversary, maps, 3)
    other.load_state({name: tensor.clone().contiguous() for name, tensor in adversary.state().items()})
    assert losses_after(adversary, maps, 3) == losses_after(other, maps, 3)


def test_moments_are_a_part_of_the_state(compute: Compute, maps: tuple[Tensor, Tensor]) -> None:
    adversary, other = adversary_of(compute), adversary_of(compute)
    losses_after(adversary, maps, 3)
    weights: dict[str, Any] = {name: t for name, t in adversary.state().items() if name.startswith("discriminator/")}
    other.load_state(weights)
    assert losses_after(adversary, maps, 3) != losses_after(other, maps, 3)


def test_crops_too_small_to_be_halved_are_refused(compute: Compute) -> None:
    with pytest.raises(ConfigError, match=r"crop_hw is \(16, 48\).*at least 32 pixels"):
        adversary_of(compute).fooled_loss(torch.zeros(1, 3, 16, 48))
