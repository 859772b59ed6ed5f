"""Photometric changes: the policy as published, each operation on a small image, nothing moved."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from training.views import photometric
from training.views.photometric import POLICY, auto_augment, colour_jitter

Pair = tuple[tuple[str, float, int], tuple[str, float, int]]


def ramp() -> NDArray[np.uint8]:
    """(4, 64, 3): grey from 0 to 252 along the columns."""
    return np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (4, 64, 3)).copy()


def changed_by(monkeypatch: pytest.MonkeyPatch, name: str, magnitude: int, image: NDArray[np.uint8]) -> set[bytes]:
    """Every result of one operation alone, over many draws."""
    policy: tuple[Pair, ...] = (((name, 1.0, magnitude), ("invert", 0.0, 0)),)
    monkeypatch.setattr(photometric, "POLICY", policy)
    return {auto_augment(np.random.default_rng(seed), image).tobytes() for seed in range(20)}


def test_policy_is_the_eighteen_published_pairs_without_rotations_and_shears() -> None:
    names = Counter("+".join(f"{name} {prob} {magnitude}" for name, prob, magnitude in pair) for pair in POLICY)
    assert names == {
        "solarize 0.6 5+autocontrast 0.6 0": 2,
        "equalize 0.8 0+equalize 0.6 0": 2,
        "posterize 0.6 7+posterize 0.6 6": 1,
        "equalize 0.4 0+solarize 0.2 4": 2,
        "solarize 0.6 3+equalize 0.6 0": 1,
        "posterize 0.8 5+equalize 1.0 0": 1,
        "equalize 0.6 0+posterize 0.4 6": 1,
        "equalize 0.0 0+equalize 0.8 0": 1,
        "invert 0.6 0+equalize 1.0 0": 2,
        "color 0.6 4+contrast 1.0 8": 2,
        "color 0.8 8+solarize 0.8 7": 1,
        "sharpness 0.4 7+invert 0.6 0": 1,
        "color 0.4 0+equalize 0.6 0": 1,
    }


@pytest.mark.parametrize(("magnitude", "threshold"), [(3, 171), (4, 142), (5, 114), (7, 57)])
def test_solarize_inverts_what_is_brighter_than_its_threshold(
    monkeypatch: pytest.MonkeyPatch, magnitude: int, threshold: int
) -> None:
    image = ramp()
    expected = np.where(image < threshold, image, 255 - image).astype(np.uint8)
    assert changed_by(monkeypatch, "solarize", magnitude, image) == {expected.tobytes()}


@pytest.mark.parametrize(("magnitude", "bits"), [(5, 6), (6, 5), (7, 5)])
def test_posterize_keeps_the_highest_bits(monkeypatch: pytest.MonkeyPatch, magnitude: int, bits: int) -> None:
    image = ramp()
    expected = (image >> (8 - bits)) << (8 - bits)
    assert changed_by(monkeypatch, "posterize", magnitude, image) == {expected.astype(np.uint8).tobytes()}


def test_invert_takes_every_value_from_255(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed_by(monkeypatch, "invert", 0, ramp()) == {(255 - ramp()).tobytes()}


def test_autocontrast_stretches_to_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    image = (100 + ramp() // 8).astype(np.uint8)
    (result,) = changed_by(monkeypatch, "autocontrast", 0, image)
    values = np.frombuffer(result, dtype=np.uint8)
    assert (values.min(), values.max()) == (0, 255)


def test_equalize_spreads_a_dark_image(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = changed_by(monkeypatch, "equalize", 0, np.tile(ramp() // 8, (8, 1, 1)))
    assert np.frombuffer(result, dtype=np.uint8).max() == 255


def test_contrast_goes_up_or_down_around_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.full((2, 2, 3), 100, dtype=np.uint8)
    image[0] = 140
    results = changed_by(monkeypatch, "contrast", 8, image)
    # The mean is 120: factors 0.2 and 1.8 bring 20 above and below it to 4 and to 36.
    expected = {bytes([124] * 6 + [116] * 6), bytes([156] * 6 + [84] * 6)}
    assert results == expected


def test_colour_goes_towards_grey_or_away_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.full((1, 1, 3), (150, 100, 100), dtype=np.uint8)
    spans = sorted(max(result) - min(result) for result in changed_by(monkeypatch, "color", 4, image))
    assert spans == [30, 70]


def test_sharpness_changes_edges_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.full((5, 9, 3), 100, dtype=np.uint8)
    image[:, 5:] = 150
    for result in changed_by(monkeypatch, "sharpness", 7, image):
        changed = np.frombuffer(result, dtype=np.uint8).reshape(image.shape) != image
        assert set(np.flatnonzero(changed.any(axis=(0, 2)))) == {4, 5}


def test_pairs_are_applied_in_order_and_with_their_own_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photometric, "POLICY", ((("solarize", 1.0, 7), ("posterize", 1.0, 7)),))
    image = ramp()
    solarized = np.where(image < 57, image, 255 - image).astype(np.uint8)
    expected = ((solarized >> 3) << 3).astype(np.uint8)
    assert (auto_augment(np.random.default_rng(0), image) == expected).all()
    monkeypatch.setattr(photometric, "POLICY", ((("invert", 0.25, 0), ("invert", 0.0, 0)),))
    changed = [(auto_augment(np.random.default_rng(seed), image) != image).any() for seed in range(200)]
    assert 0.15 < np.mean(changed) < 0.35


def test_every_pair_is_drawn() -> None:
    image = np.random.default_rng(0).integers(40, 200, (8, 8, 3), dtype=np.uint8)
    results = {auto_augment(np.random.default_rng(seed), image).tobytes() for seed in range(300)}
    assert len(results) >= 18


def test_change_keeps_shape_and_type_and_leaves_its_input_alone() -> None:
    image = ramp()
    results = [auto_augment(np.random.default_rng(0), image), colour_jitter(np.random.default_rng(0), image, 0.4)]
    assert [(result.shape, result.dtype) for result in results] == [(image.shape, np.dtype(np.uint8))] * 2
    assert (image == ramp()).all()


def test_same_seed_gives_the_same_change() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for change in (auto_augment, lambda rng, image: colour_jitter(rng, image, 0.4)):
        first, second = (change(np.random.default_rng(9), image) for _ in range(2))
        assert (first == second).all()


def test_jitter_of_strength_zero_changes_nothing() -> None:
    assert (colour_jitter(np.random.default_rng(0), ramp(), 0.0) == ramp()).all()


def test_jitter_scales_brightness_within_its_strength() -> None:
    # On a uniform grey image contrast and saturation change nothing.
    image = np.full((2, 2, 3), 100, dtype=np.uint8)
    values = [int(colour_jitter(np.random.default_rng(seed), image, 0.4).max()) for seed in range(200)]
    assert 60 <= min(values) < 66
    assert 134 < max(values) <= 140


def test_jitter_changes_contrast() -> None:
    """Brightness alone would keep the ratio of two grey pixels; saturation does not touch them."""
    image = np.array([[(100, 100, 100), (140, 140, 140)]], dtype=np.uint8)
    results = [colour_jitter(np.random.default_rng(seed), image, 0.4)[0, :, 0].astype(float) for seed in range(50)]
    assert np.ptp([second / first for first, second in results]) > 0.2


def test_jitter_changes_saturation() -> None:
    """Brightness and contrast are one affine map of all values, which keeps ratios of differences."""
    image = np.array([[(50, 50, 50), (150, 100, 100)]], dtype=np.uint8)
    results = [colour_jitter(np.random.default_rng(seed), image, 0.4)[0].astype(float) for seed in range(50)]
    assert np.ptp([(colour[0] - colour[1]) / (colour[1] - grey[1]) for grey, colour in results]) > 0.5
