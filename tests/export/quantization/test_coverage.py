import numpy as np
import pytest

from export.frame_sets import FrameSets
from export.quantization.coverage import calibration_frames, choose_covering, hash_of
from export.quantization.layers import NetworkGraph


def test_frame_with_most_of_the_rarest_class_comes_first() -> None:
    counts = np.array([[90, 9, 1], [95, 5, 0], [80, 15, 5], [100, 0, 0]])
    assert choose_covering(counts, 1) == (2,)


def test_every_class_that_occurs_is_in_the_frame_that_shows_it_best() -> None:
    # Class 0 everywhere, 1 best in frame 4, 2 best in frame 1, 3 never.
    counts = np.array([[10, 0, 0, 0], [5, 2, 3, 0], [10, 0, 0, 0], [9, 0, 1, 0], [6, 4, 0, 0], [11, 0, 0, 0]])
    assert choose_covering(counts, 3) == (1, 4, 5)


def test_frame_that_shows_two_classes_best_leaves_room_for_others() -> None:
    counts = np.array([[1, 7, 7], [9, 0, 0], [8, 0, 0], [8, 0, 0], [8, 0, 0]])
    # Frame 0 for classes 1 and 2, frame 1 for class 0, then the last of an even spread over frames 2, 3 and 4.
    assert choose_covering(counts, 4) == (0, 1, 2, 4)


def test_all_frames_are_taken_where_there_are_fewer() -> None:
    assert choose_covering(np.ones((3, 2), dtype=int), 9) == (0, 1, 2)


def test_calibration_frames_are_candidates_and_missing_classes_are_told(
    network: NetworkGraph, sets: FrameSets, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"class-{index}" for index in range(21)]
    frames = calibration_frames(network.model, sets.candidates, 4, num_classes=21, class_names=names)
    assert len(frames) == 4
    assert set(frames.indices) <= set(sets.candidates.indices)
    # The network has 19 classes and cannot predict two more.
    assert "class-19, class-20: the network predicts none of them on 8 candidates" in capsys.readouterr().err


def test_hash_is_of_pixels_order_and_shape() -> None:
    one, other = np.zeros((1, 2, 4, 3), np.uint8), np.ones((1, 2, 4, 3), np.uint8)
    assert hash_of([one, other]) == hash_of([one.copy(), other.copy()])
    different = {hash_of([one, other]), hash_of([other, one]), hash_of([one, one]), hash_of([one])}
    assert len(different | {hash_of([one.reshape(1, 4, 2, 3), other])}) == 5
