import numpy as np
import pytest

from benchmarks.accuracy import MIN_FRAMES, PixelCounts, miou_lead, miou_of
from runtime.labels import IGNORE_INDEX
from runtime.metrics import ConfusionMatrix

RNG = np.random.default_rng(0)
NUM_CLASSES = 4
# The last class is never true, and some pixels are not labelled.
TRUTHS = RNG.integers(0, NUM_CLASSES - 1, (12, 8, 8)).astype(np.uint8)
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
    lead = miou_lead(better, worse)
    first, second = miou_of(better), miou_of(worse)
    assert lead is not None
    assert lead.interval is not None
    assert first is not None
    assert second is not None
    assert lead.value == pytest.approx(first - second)
    assert 0.0 < lead.interval[0] < lead.value < lead.interval[1]


def test_frames_are_drawn_for_both_alike() -> None:
    """Hard and easy frames move both networks, but not the lead of one that is the other."""
    labels = np.concatenate([labels_with(0.0)[:6], labels_with(0.9)[6:]])
    lead = miou_lead(counts_of(labels), counts_of(labels))
    assert lead is not None
    assert (lead.value, lead.interval) == (0.0, (0.0, 0.0))


def test_too_few_frames_have_no_interval_and_unlabelled_ones_do_not_count() -> None:
    better, worse = labels_with(0.1), labels_with(0.4)
    counts = []
    for labels in (better, worse):
        some = PixelCounts()
        for number, (truth, found) in enumerate(zip(TRUTHS, labels, strict=True)):
            some.update(truth if number < MIN_FRAMES - 1 else np.full_like(truth, IGNORE_INDEX), found, NUM_CLASSES)
        counts.append(some)
    assert len(counts[0].frames) == len(TRUTHS) >= MIN_FRAMES
    lead = miou_lead(*counts)
    assert lead is not None
    assert lead.value > 0.0
    assert lead.interval is None


def test_nothing_counted_says_nothing() -> None:
    assert miou_of(PixelCounts()) is None
    assert miou_lead(PixelCounts(), PixelCounts()) is None
    unlabelled = PixelCounts()
    unlabelled.update(np.full((2, 2), IGNORE_INDEX, np.uint8), np.zeros((2, 2), np.uint8), NUM_CLASSES)
    assert miou_of(unlabelled) is None
    assert miou_lead(unlabelled, unlabelled) is None
