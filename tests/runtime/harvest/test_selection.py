import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.drift.reference import FeatureReference, Reference
from runtime.harvest.selection import Selection, Standard


def of(*frames: tuple[str, float, float]) -> Selection:
    """Frames of a name, a place on a line, and an uncertainty."""
    selection = Selection(1)
    for name, place, uncertainty in frames:
        selection.add(name, np.array([place], dtype=np.float32), uncertainty)
    return selection


def test_of_two_that_are_alike_the_surer_one_goes() -> None:
    assert of(("far", 9, 0.1), ("twin", 1.0, 0.3), ("other twin", 1.1, 0.2)).least() == "other twin"


def test_of_two_equally_unsure_the_less_lonely_one_goes() -> None:
    assert of(("lonely", 9, 0.2), ("a", 0, 0.2), ("b", 1, 0.3), ("c", 3, 0.3)).least() == "a"


def test_of_two_that_are_the_same_the_new_one_goes() -> None:
    assert of(("far", 9, 0.1), ("known", 1, 0.2), ("again", 1, 0.2)).least() == "again"


def test_only_frame_is_the_least() -> None:
    assert of(("only", 0, 0.5)).least() == "only"


def test_neighbours_of_a_frame_that_is_gone_are_told_apart_again() -> None:
    selection = of(("a", 0, 0.5), ("b", 0.1, 0.6), ("c", 4, 0.5), ("d", 6, 0.45))
    assert selection.least() == "a"
    selection.remove("a")
    assert selection.least() == "d"


def test_value_kept_up_to_date_is_the_value_computed_anew() -> None:
    rng = np.random.default_rng(0)
    points: NDArray[np.float32] = rng.normal(size=(40, 5)).astype(np.float32)
    uncertainty = rng.uniform(size=40)
    selection, left = Selection(5), set(range(40))
    for index in range(40):
        selection.add(str(index), points[index], uncertainty[index])
    while len(left) > 1:
        worth = {}
        for one in left:
            distances = [float(np.sqrt(np.mean((points[one] - points[other]) ** 2))) for other in left - {one}]
            worth[one] = uncertainty[one] * min(distances)
        least = min(worth, key=lambda one: worth[one])
        assert selection.least() == str(least)
        selection.remove(str(least))
        left.remove(least)


def test_features_weigh_by_their_spread_and_missing_ones_nothing() -> None:
    features = {
        "luminance": FeatureReference(mean=100, spread=10, low=80, high=120),
        "class_road": FeatureReference(mean=0.5, spread=0.1, low=0.2, high=0.8),
        "class_train": FeatureReference(mean=0, spread=0, low=0, high=0),
    }
    standard = Standard(Reference(num_frames=9, num_independent=9, share_outside=0, features=features))
    assert standard.point({"luminance": 120, "class_road": 0.4}).tolist() == pytest.approx([2, -1, 0], abs=1e-5)
    # A class that was never there does not outweigh everything else.
    assert standard.point({"luminance": 100, "class_road": 0.5, "class_train": 0.9}).tolist() == [0, 0, 10]
