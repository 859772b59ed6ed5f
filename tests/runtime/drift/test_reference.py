import numpy as np
import pytest

from runtime.drift.reference import Reference, reference_of


def of(values: list[float]) -> Reference:
    return reference_of(np.array(values, dtype=np.float32)[:, np.newaxis], ["a"])


def test_range_leaves_out_one_frame_in_fifty_on_either_side() -> None:
    values = np.random.default_rng(0).permutation(100.0 * np.arange(100)).tolist()
    found = of(values)
    assert (found.num_frames, found.share_outside) == (100, 0.02)
    assert (found.features["a"].low, found.features["a"].high) == (200, 9700)
    assert found.features["a"].mean == pytest.approx(4950)


def test_few_frames_are_in_range_all_of_them() -> None:
    found = of([3.0, 1.0, 2.0])
    assert (found.share_outside, found.features["a"].low, found.features["a"].high) == (0, 1, 3)


def test_single_frame_is_a_reference() -> None:
    found = of([3.0])
    assert (found.num_frames, found.num_independent, found.features["a"].spread) == (1, 1, 0)


def test_frames_that_know_nothing_of_each_other_count_all() -> None:
    values = np.random.default_rng(1).normal(size=(400, 9)).astype(np.float32)
    found = reference_of(values, list("abcdefghi"))
    assert found.num_independent == pytest.approx(400, rel=0.15)


def test_frames_of_a_slow_drive_count_less() -> None:
    """Each scene is seen in ten frames: four hundred are worth about forty."""
    scenes = np.random.default_rng(2).normal(size=(40, 9)).astype(np.float32)
    found = reference_of(scenes.repeat(10, axis=0), list("abcdefghi"))
    assert 25 < found.num_independent < 60


def test_feature_that_never_changes_says_nothing_of_dependence() -> None:
    values = np.random.default_rng(3).normal(size=(100, 2)).astype(np.float32)
    values[:, 1] = 0
    assert reference_of(values, ["a", "b"]).num_independent == reference_of(values[:, :1], ["a"]).num_independent
