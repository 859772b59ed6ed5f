import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from runtime.metrics import ConfusionMatrix

Labels = NDArray[np.uint8]
TRUTH = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 255]))
PREDICTED = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2]))
FRAMES = st.lists(st.tuples(TRUTH, PREDICTED), min_size=1, max_size=4)


def counted(frames: list[tuple[Labels, Labels]]) -> ConfusionMatrix:
    confusion = ConfusionMatrix(3)
    for truth, predicted in frames:
        confusion.update(truth, predicted)
    return confusion


def test_iou_is_the_one_worked_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    confusion = counted([(truth, predicted)])
    # Class 0: 1 hit, 1 missed, 1 wrongly found: 1/3. Class 1: 2 hits, 1 missed, 1 wrongly found: 2/4.
    np.testing.assert_allclose(confusion.iou()[:2], [1 / 3, 1 / 2])
    # Class 2 was predicted on the ignored pixel alone, so it does not occur.
    assert math.isnan(confusion.iou()[2])
    assert confusion.miou() == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    assert confusion.iou_by_name(["a", "b", "c"]) == {"a": 33.33, "b": 50.0, "c": None}


def test_class_that_is_only_predicted_counts_as_zero() -> None:
    confusion = counted([(np.zeros((1, 2), np.uint8), np.array([[0, 2]], np.uint8))])
    np.testing.assert_array_equal(confusion.iou(), [0.5, np.nan, 0.0])
    assert confusion.miou() == 25.0


def test_miou_is_taken_over_all_frames_not_per_frame() -> None:
    zeros, ones = np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8)
    confusion = counted([(zeros, zeros), (zeros, zeros), (zeros, ones)])
    # Class 0: 2 hits of 3. Class 1: predicted once, never true. A mean per frame would give 66.7.
    assert confusion.miou() == pytest.approx(100 * (2 / 3 + 0) / 2)


def test_no_counted_pixel_gives_nan_not_zero() -> None:
    ignored = np.full((2, 2), 255, np.uint8)
    assert math.isnan(counted([(ignored, np.zeros((2, 2), np.uint8))]).miou())


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth is \(2, 3\) but prediction is \(2, 2\)"):
        ConfusionMatrix(3).update(np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(("truth", "predicted"), [(3, 0), (0, 3), (0, 255)])
def test_id_that_is_no_class_is_refused(truth: int, predicted: int) -> None:
    with pytest.raises(ValueError, match=f"found class id {max(truth, predicted)}; expected ids below 3"):
        counted([(np.full((1, 1), truth, np.uint8), np.full((1, 1), predicted, np.uint8))])


@given(FRAMES)
def test_miou_is_a_percentage_or_nan(frames: list[tuple[Labels, Labels]]) -> None:
    miou = counted(frames).miou()
    assert 0 <= miou <= 100 or math.isnan(miou)


@given(FRAMES, st.randoms())
def test_order_of_frames_does_not_matter(frames: list[tuple[Labels, Labels]], random: Random) -> None:
    shuffled = frames.copy()
    random.shuffle(shuffled)
    np.testing.assert_array_equal(counted(frames).counts, counted(shuffled).counts)


@given(TRUTH)
def test_perfect_prediction_scores_100(truth: Labels) -> None:
    predicted = np.where(truth == 255, 0, truth).astype(np.uint8)
    miou = counted([(truth, predicted)]).miou()
    assert miou == 100 or (math.isnan(miou) and (truth == 255).all())


@given(FRAMES)
def test_ignored_pixels_are_the_only_ones_not_counted(frames: list[tuple[Labels, Labels]]) -> None:
    assert counted(frames).counts.sum() == sum(np.count_nonzero(truth != 255) for truth, _ in frames)
