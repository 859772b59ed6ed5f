"""Low amplitudes swapped between images, on waves whose spectra are known."""

import math

import pytest
import torch
from torch import Tensor

from training.views.spectral import swap_low_amplitude

SIZE = 16


def wave(cycles: int, strength: float = 1.0, *, is_sine: bool = False) -> Tensor:
    """(1, 1, SIZE, SIZE) wave along the columns."""
    angles = 2 * math.pi * cycles * torch.arange(SIZE) / SIZE
    return (strength * (angles.sin() if is_sine else angles.cos())).expand(1, 1, SIZE, SIZE)


def test_low_waves_get_the_strength_of_the_donor_and_keep_their_phase() -> None:
    # Of at most 1 cycle: the mean 2 becomes 5, the cosine of 1 cycle becomes three times as strong though the donor
    # has a sine there, and the wave of 4 cycles stays, as strong as it was.
    found = swap_low_amplitude(2 + wave(1) + wave(4), 5 + wave(1, 3, is_sine=True) + wave(4, 9), 0.07)
    torch.testing.assert_close(found, 5 + wave(1, 3) + wave(4))


def test_negative_mean_stays_negative() -> None:
    found = swap_low_amplitude(torch.full((1, 1, 4, 6), -2.0), torch.full((1, 1, 4, 6), 5.0), 0.01)
    torch.testing.assert_close(found, torch.full((1, 1, 4, 6), -5.0))


def test_frequencies_are_low_along_both_axes() -> None:
    # 1 cycle along the columns and 4 along the rows is not low.
    images = wave(1) * wave(4).transpose(2, 3)
    torch.testing.assert_close(swap_low_amplitude(images, torch.zeros_like(images), 0.07), images)


def test_reach_is_a_share_of_the_shorter_side() -> None:
    # floor(0.25 * 16) = 4 cycles are low, 5 are not.
    found = swap_low_amplitude(wave(4) + wave(5), wave(4, 2) + wave(5, 2), 0.25)
    torch.testing.assert_close(found, wave(4, 2) + wave(5))


def test_each_image_may_have_a_share_of_its_own() -> None:
    images, donors = (wave(4)).expand(3, 1, SIZE, SIZE), wave(4, 2).expand(3, 1, SIZE, SIZE)
    found = swap_low_amplitude(images, donors, torch.tensor([0.0, 0.1, 0.25]))
    torch.testing.assert_close(found, torch.cat([wave(4), wave(4), wave(4, 2)]))


@pytest.mark.parametrize("hw", [(5, 7), (8, 6), (1, 4)])
def test_image_is_its_own_donor(hw: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *hw, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(swap_low_amplitude(images, images, 0.5), images)


def test_donors_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="both must be of one shape"):
        swap_low_amplitude(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4), 0.1)
