import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.drift.features import describe, features_of

KEYS = [feature.key for feature in describe(["road", "sky", "car"])]


def told(
    frame: NDArray[np.uint8], labels: NDArray[np.uint8] | None = None, confidence: NDArray[np.uint8] | None = None
) -> dict[str, float]:
    labels = np.zeros(frame.shape[:2], np.uint8) if labels is None else labels
    confidence = np.full(frame.shape[:2], 255, np.uint8) if confidence is None else confidence
    return dict(zip(KEYS, features_of(frame, labels, confidence, 3).tolist(), strict=True))


def plain(red: int, green: int, blue: int, hw: tuple[int, int] = (8, 12)) -> NDArray[np.uint8]:
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (*hw, 3)).copy()


def test_plain_frame_has_its_colour_and_nothing_else() -> None:
    found = told(plain(200, 100, 50))
    assert found["luminance"] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.01)
    assert found["saturation"] == pytest.approx(150 / 255)
    assert found["red_blue"] == pytest.approx(150 / 255)
    assert found["green"] == pytest.approx(-25 / 255)
    assert [found["contrast"], found["sharpness"]] == pytest.approx([0, 0], abs=1e-3)
    assert (found["dark"], found["bright"]) == (0, 0)


def test_shares_are_given_as_roots() -> None:
    frame = plain(0, 0, 0)
    frame[:2] = 255
    labels = np.zeros((8, 12), np.uint8)
    labels[:, :3] = 2
    confidence = np.full((8, 12), 255, np.uint8)
    confidence[:, 6:] = 51
    found = told(frame, labels, confidence)
    assert [found["bright"], found["dark"]] == pytest.approx([0.25**0.5, 0.75**0.5])
    assert [found[f"class_{name}"] for name in ("road", "sky", "car")] == pytest.approx([0.75**0.5, 0, 0.25**0.5])
    assert [found["confidence"], found["unsure"]] == pytest.approx([0.6, 0.5**0.5])


def test_blur_lowers_sharpness_of_a_large_frame_too() -> None:
    """Neighbours are compared in the frame itself, not among the pixels that are looked at."""
    frame = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    blurred = frame.copy()
    blurred[:, 1::2] = blurred[:, ::2]
    assert told(frame)["sharpness"] == pytest.approx(85, rel=0.05)
    assert told(blurred)["sharpness"] < 0.6 * told(frame)["sharpness"]


def test_all_features_of_a_large_frame_are_those_of_its_small_copy_but_for_sharpness() -> None:
    small = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(0, 3, (64, 128), dtype=np.uint8)
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    found, expected = told(large, labels.repeat(8, axis=0).repeat(8, axis=1)), told(small, labels)
    del found["sharpness"], expected["sharpness"]
    assert found == pytest.approx(expected, rel=0.03, abs=0.01)


def test_frame_of_one_column_has_no_neighbours() -> None:
    assert told(plain(1, 2, 3, hw=(8, 1)))["sharpness"] == 0


def test_sentence_gives_a_share_and_not_its_root() -> None:
    described = {feature.key: feature for feature in describe(["road"])}
    assert described["class_road"].told(0.5) == "25.0%"
    assert described["luminance"].told(107.6) == "108"
