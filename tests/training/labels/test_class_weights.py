"""Class weights worked by hand on maps of 16 x 16 pixels, where "small" means fewer than 8 of 256."""

import pytest
import torch
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.labels.class_weights import RareClassWeights

CPU = torch.device("cpu")


def labels(**counts: int) -> Tensor:
    """(1, 16, 16) labels with so many pixels of each class (c0=3: three pixels of class 0); the rest is ignored."""
    ids = [int(name[1:]) for name, count in counts.items() for _ in range(count)]
    return torch.tensor(ids + [IGNORE_INDEX] * (256 - len(ids))).view(1, 16, 16)


def weights_of(*batches: Tensor, boost: float = 7.0) -> list[float]:
    class_weights = RareClassWeights(4, boost=boost, device=CPU)
    return [round(value, 4) for batch in batches for value in class_weights.update(batch).tolist()][-4:]


def test_small_class_is_boosted_and_absent_class_once_more() -> None:
    # Class 1 has exactly 3.125 % and is not small; class 2 has fewer; class 3 is absent: 7 * (0.9 + 0.1 * 7).
    assert weights_of(labels(c0=241, c1=8, c2=7)) == [1.0, 1.0, 7.0, 11.2]


def test_share_counts_every_pixel_of_the_batch_ignored_ones_too() -> None:
    assert weights_of(labels(c0=20, c1=8, c2=7, c3=9)) == [1.0, 1.0, 7.0, 1.0]


def test_share_means_the_same_for_a_larger_batch() -> None:
    batch = torch.cat([labels(c0=200, c1=8, c2=8, c3=7), labels(c0=200, c1=8, c2=7, c3=8)])
    assert weights_of(batch) == [1.0, 1.0, 7.0, 7.0]


def test_often_absent_class_moves_to_its_boost_step_by_step() -> None:
    batch = labels(c0=100, c1=100, c2=56)
    # often: 1.6, then 0.9 * 1.6 + 0.1 * 7 = 2.14; absent is small too, hence another 7.
    assert weights_of(batch) == [1.0, 1.0, 1.0, 11.2]
    assert weights_of(batch, batch) == [1.0, 1.0, 1.0, 14.98]
    assert weights_of(*[batch] * 200) == [1.0, 1.0, 1.0, 49.0]


def test_class_that_comes_back_loses_its_boost_slowly() -> None:
    absent, back = labels(c0=100, c1=100, c2=56), labels(c0=100, c1=50, c2=50, c3=56)
    # often: 1.6, then 0.9 * 1.6 + 0.1 * 1 = 1.54.
    assert weights_of(absent, back) == [1.0, 1.0, 1.0, 1.54]


def test_boost_of_one_switches_the_weights_off() -> None:
    assert weights_of(labels(c0=3), labels(c1=3), boost=1.0) == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("boost", [1.0, 3.0, 7.0])
def test_batch_without_a_labelled_pixel_gives_finite_weights(boost: float) -> None:
    expected = round(boost * (0.9 + 0.1 * boost), 4)
    assert weights_of(labels(), boost=boost) == [expected] * 4


def test_weights_come_on_the_scale_of_the_losses() -> None:
    weights = RareClassWeights(4, boost=7.0, device=CPU).update(labels(c0=256))
    assert (weights.dtype, weights.shape) == (torch.float32, (4,))
