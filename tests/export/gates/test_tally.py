import numpy as np
import pytest
from numpy.typing import NDArray

from export.gates.recalls import MIN_CLASS_PIXELS
from export.gates.tally import LabelledTally, Tally
from runtime.labels import IGNORE_INDEX

NAMES = ("road", "car", "pole")
Maps = NDArray[np.uint8]


def labels_of(**counts: int) -> Maps:
    """A map of one row with so many pixels of each class, in this order."""
    return np.repeat(np.array([NAMES.index(name) for name in counts], dtype=np.uint8), list(counts.values()))[
        np.newaxis
    ]


def changed(labels: Maps, *, start: int, number: int, to: int) -> Maps:
    altered = labels.copy()
    altered[0, start : start + number] = to
    return altered


def add(tally: Tally, expected: Maps, got: Maps, *, confidence: int = 200, got_confidence: int = 200) -> None:
    frame = np.zeros((*expected.shape, 3), dtype=np.uint8)
    maps = (np.full_like(expected, confidence), np.full_like(expected, got_confidence))
    tally.add(frame, (expected, maps[0]), (got, maps[1]))


def test_shares_and_recalls_are_those_counted_by_hand() -> None:
    expected = labels_of(road=9700, car=200, pole=100)
    tally = Tally(3)
    # 97 of 9700 roads, 20 of 200 cars and 1 of 100 poles become something else.
    got = changed(
        changed(changed(expected, start=0, number=97, to=1), start=9700, number=20, to=0), start=9900, number=1, to=1
    )
    add(tally, expected, got)
    parity = tally.parity("torch", NAMES)
    assert [entry.name for entry in parity.classes] == list(NAMES)
    assert [entry.share for entry in parity.classes] == pytest.approx([0.97, 0.02, 0.01])
    assert [entry.recall for entry in parity.classes] == pytest.approx([0.99, 0.9, 0.99])
    assert parity.label_agreement == pytest.approx(1 - 118 / 10000, abs=1e-12)
    # A class with exactly two hundredths of the pixels is not rare; the pole is.
    assert parity.rare_recall == pytest.approx(0.99)


def test_counts_run_over_all_frames() -> None:
    tally = Tally(3)
    first, second = labels_of(road=150, car=50), labels_of(road=100, car=100)
    add(tally, first, first, got_confidence=203)
    add(tally, second, changed(second, start=100, number=30, to=2), got_confidence=195)
    parity = tally.parity("torch", NAMES)
    assert (parity.num_frames, parity.max_confidence_difference) == (2, 5)
    assert parity.classes[1].recall == pytest.approx(120 / 150)
    assert tally.agreement_on([0], 200) == 1.0
    assert tally.agreement_on([0, 1], 200) == pytest.approx(1 - 30 / 400)


def test_class_of_too_few_pixels_is_not_judged() -> None:
    expected = labels_of(road=20000, car=MIN_CLASS_PIXELS - 1, pole=MIN_CLASS_PIXELS)
    tally = Tally(3)
    add(tally, expected, changed(expected, start=20000, number=50, to=0))
    parity = tally.parity("torch", NAMES)
    assert [entry.recall for entry in parity.classes] == [1.0, None, 1.0]
    assert parity.rare_recall == 1.0


def test_one_pixel_of_many_is_not_rounded_away() -> None:
    expected = np.zeros((1000, 3000), dtype=np.uint8)
    got = expected.copy()
    got[0, 0] = 1
    tally = Tally(3)
    add(tally, expected, got)
    assert tally.parity("torch", NAMES).label_agreement < 1.0


def test_iou_change_is_that_counted_by_hand() -> None:
    truth = labels_of(road=600, car=400)
    pytorch, artefact = LabelledTally(3), LabelledTally(3)
    pytorch.add(truth, truth)
    # 100 cars become road: IoU of road 600 / 700, of car 300 / 400.
    artefact.add(truth, changed(truth, start=600, number=100, to=0))
    tally = Tally(3)
    add(tally, truth, truth)
    parity = tally.parity("torch", NAMES, truths=(pytorch, artefact))
    assert parity.miou == pytest.approx(100 * (600 / 700 + 300 / 400) / 2)
    assert parity.miou_change == pytest.approx(100 * (600 / 700 + 300 / 400) / 2 - 100)
    assert parity.classes[0].iou_change == pytest.approx(100 * 600 / 700 - 100)
    assert parity.classes[1].iou_change == pytest.approx(-25.0)
    assert parity.classes[2].iou_change is None


def test_stray_pixel_of_a_class_that_the_truth_lacks_does_not_change_the_mean_by_a_class() -> None:
    truth = labels_of(road=600, car=400)
    tally = LabelledTally(3)
    tally.add(truth, changed(truth, start=0, number=1, to=2))
    assert tally.miou == pytest.approx(100 * (599 / 600 + 1) / 2)


def test_ignored_pixels_are_no_truth() -> None:
    truth = np.full((1, 200), IGNORE_INDEX, dtype=np.uint8)
    tally = LabelledTally(3)
    tally.add(truth, np.zeros((1, 200), dtype=np.uint8))
    assert tally.miou is None


def test_constant_output_is_a_problem_of_its_own() -> None:
    tally = Tally(3)
    for cars in (100, 200):
        expected = labels_of(road=1000 - cars, car=cars)
        add(tally, expected, np.full_like(expected, 2))
    assert tally.problems(NAMES) == ["its output is constant: 'pole' everywhere, where PyTorch gives 2 classes"]


def test_frozen_output_is_a_problem_of_its_own() -> None:
    tally = Tally(3)
    first = labels_of(road=900, car=100)
    for cars in (100, 110, 120):
        add(tally, labels_of(road=1000 - cars, car=cars), first)
    assert tally.problems(NAMES) == [
        "its output is frozen: one label map for all 3 frames, where PyTorch gives 3 different ones"
    ]


def test_same_labels_for_every_frame_are_right_where_pytorch_gives_the_same() -> None:
    tally = Tally(3)
    for labels in [labels_of(road=1000)] * 3:
        add(tally, labels, labels)
    assert tally.problems(NAMES) == []


def test_confidence_below_that_of_a_coin_toss_is_not_finite() -> None:
    tally = Tally(3)
    labels = labels_of(road=900, car=100)
    add(tally, labels, labels, got_confidence=85)
    assert tally.problems(NAMES) == []
    add(tally, labels, labels, got_confidence=84)
    assert tally.problems(NAMES) == [
        "its confidence is not finite on 1 of 2 frames, expected at least 85 of 255 at every pixel; the network "
        "overflows there"
    ]


def test_id_that_is_no_class_is_a_problem_and_no_crash() -> None:
    tally, labelled = Tally(3), LabelledTally(3)
    expected = labels_of(road=900, car=100)
    got = changed(expected, start=0, number=2, to=7)
    add(tally, expected, got)
    labelled.add(expected, got)
    assert tally.problems(NAMES) == ["it gives class id 7, expected ids below 3"]
    assert tally.parity("torch", NAMES).classes[0].recall == pytest.approx(898 / 900)
    assert labelled.iou()[0] == pytest.approx(100 * 898 / 900)


def test_two_classes_in_each_others_place_are_named() -> None:
    tally = Tally(3)
    expected = labels_of(road=500, car=300, pole=200)
    add(tally, expected, np.array([0, 2, 1], dtype=np.uint8)[expected])
    (problem,) = tally.problems(NAMES)
    assert problem.startswith("it gives 'pole' where PyTorch says 'car', and the reverse")


def test_frames_that_differ_most_come_first_and_equal_ones_not_at_all() -> None:
    tally = Tally(3)
    expected = labels_of(road=500, car=500)
    for number in (0, 5, 20, 1, 10):
        add(tally, expected, changed(expected, start=0, number=number, to=1))
    assert [difference.index for difference in tally.differences] == [2, 4, 1]
    assert int(np.count_nonzero(tally.differences[0].got != expected)) == 20


def test_confusions_are_counted_in_pixels_and_as_a_share_of_the_class() -> None:
    tally = Tally(3)
    expected = labels_of(road=500, car=200)
    add(tally, expected, changed(changed(expected, start=0, number=10, to=1), start=600, number=40, to=2))
    first, second = tally.confusions()
    assert (first.expected, first.got, first.num_pixels, first.share) == (1, 2, 40, 0.2)
    assert (second.expected, second.got, second.num_pixels, second.share) == (0, 1, 10, 0.02)
