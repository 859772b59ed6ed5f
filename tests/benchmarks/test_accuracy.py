import numpy as np
import pytest

from benchmarks.accuracy import PixelCounts, miou_ahead, miou_of
from runtime.labels import IGNORE_INDEX
from runtime.metrics import ConfusionMatrix

RNG = np.random.default_rng(0)
NUM_CLASSES = 4
# The last class is never true, and some pixels are not labelled.
TRUTHS = RNG.integers(0, NUM_CLASSES - 1, (5, 8, 8)).astype(np.uint8)
TRUTHS[:, 0] = IGNORE_INDEX


def labels_with(share: float) -> np.ndarray:
    """The truth, a share of its pixels drawn anew from all classes."""
    noise = RNG.integers(0, NUM_CLASSES, TRUTHS.shape).astype(np.uint8)
    return np.where((RNG.random(TRUTHS.shape) < share) | (TRUTHS == IGNORE_INDEX), noise, TRUTHS).astype(np.uint8)


def counts_of(labels: np.ndarray) -> PixelCounts:
    counts = PixelCounts()
    for truth, found in zip(TRUTHS, labels, strict=True):
        counts.update(truth, found, NUM_CLASSES)
    return counts


def test_miou_is_that_of_all_pixels_together_over_the_classes_that_the_truth_has() -> None:
    labels = labels_with(0.3)
    matrix = ConfusionMatrix(NUM_CLASSES)
    for truth, found in zip(TRUTHS, labels, strict=True):
        matrix.update(truth, found)
    assert np.count_nonzero(labels == NUM_CLASSES - 1) > 0
    assert miou_of(counts_of(labels)) == pytest.approx(matrix.miou(range(NUM_CLASSES - 1)))


def test_counts_outlive_their_document() -> None:
    counts = counts_of(labels_with(0.3))
    assert miou_of(PixelCounts(counts.frames)) == miou_of(counts)


def test_a_lead_is_the_difference_and_lies_within_its_interval() -> None:
    better, worse = counts_of(labels_with(0.1)), counts_of(labels_with(0.4))
    ahead = miou_ahead(better, worse)
    first, second = miou_of(better), miou_of(worse)
    assert ahead is not None
    assert first is not None
    assert second is not None
    assert ahead.value == pytest.approx(first - second)
    assert 0.0 < ahead.low < ahead.value < ahead.high


def test_frames_are_drawn_for_both_alike() -> None:
    """Hard and easy frames move both networks, but not the lead of one that is the other."""
    labels = np.concatenate([labels_with(0.0)[:2], labels_with(0.9)[2:]])
    ahead = miou_ahead(counts_of(labels), counts_of(labels))
    assert ahead is not None
    assert (ahead.value, ahead.low, ahead.high) == (0.0, 0.0, 0.0)


def test_nothing_counted_says_nothing() -> None:
    assert miou_of(PixelCounts()) is None
    assert miou_ahead(PixelCounts(), PixelCounts()) is None
    unlabelled = PixelCounts()
    unlabelled.update(np.full((2, 2), IGNORE_INDEX, np.uint8), np.zeros((2, 2), np.uint8), NUM_CLASSES)
    assert miou_of(unlabelled) is None
