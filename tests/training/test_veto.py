"""Which classes count as lost, by pixels counted by hand."""

from typing import cast

import pytest
import torch
from torch import Tensor

from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.veto import lost_classes


class Predicting:
    """Predicts given numbers of pixels of each class, whatever it is shown."""

    def __init__(self, *counts: int) -> None:
        labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        self._logits = torch.nn.functional.one_hot(labels, len(counts)).T.float()[None, :, None]

    def logits(self, image: Tensor) -> Tensor:
        return self._logits


def found(start: tuple[int, ...], adapted: tuple[int, ...], compute: Compute) -> tuple[list[int], int]:
    networks = [cast(SegmentationNetwork, Predicting(*counts)) for counts in (start, adapted)]
    return lost_classes(networks[0], networks[1], [torch.zeros(1, 3, 1, 1)] * 2, compute)


@pytest.mark.parametrize(
    ("adapted", "lost"),
    [
        ((9000, 900, 99, 1), []),
        ((9600, 301, 99, 0), []),  # just more than a third of 900 is left
        ((9602, 299, 99, 0), [1]),
        ((9969, 0, 31, 0), [1, 2]),
    ],
)
def test_class_is_lost_where_less_than_a_third_of_its_pixels_is_left(
    adapted: tuple[int, ...], lost: list[int], compute: Compute
) -> None:
    """The last class has one pixel in ten thousand: too few for it to count as predicted."""
    assert found((9000, 900, 99, 1), adapted, compute) == (lost, 3)


def test_class_that_is_gained_is_not_lost(compute: Compute) -> None:
    assert found((10000, 0, 0, 0), (5000, 2000, 2000, 1000), compute) == ([], 1)
