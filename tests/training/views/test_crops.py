"""Crops: image and labels keep their places, several looks show one place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from runtime.labels import IGNORE_INDEX
from training.views.crops import Crop, class_rich_crop, crop_image, crop_labels, crop_map, draw_crop, proportional_crop


def coordinates(height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3): the first channel is the row, the second the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8)


def test_crop_cuts_its_box_out_of_image_and_labels() -> None:
    crop = Crop((6, 8), top=1, left=2, crop_hw=(3, 4), is_mirrored=False)
    image = coordinates(6, 8)
    cut = crop_image(image, crop)
    assert crop.box == (2, 1, 6, 4)
    assert cut[..., 0].tolist() == [[1] * 4, [2] * 4, [3] * 4]
    assert cut[..., 1].tolist() == [[2, 3, 4, 5]] * 3
    assert (crop_labels(image[..., 1], crop) == cut[..., 1]).all()


def test_mirrored_crop_is_mirrored_left_to_right_in_image_and_labels() -> None:
    crop = Crop((6, 8), top=1, left=2, crop_hw=(3, 4), is_mirrored=True)
    image = coordinates(6, 8)
    cut = crop_image(image, crop)
    assert cut[0].tolist() == [[1, 5, 0], [1, 4, 0], [1, 3, 0], [1, 2, 0]]
    assert (crop_labels(image[..., 1], crop) == cut[..., 1]).all()
    assert cut.flags["C_CONTIGUOUS"]


def test_labels_are_resized_by_nearest_neighbour() -> None:
    labels = np.array([[0, 10], [IGNORE_INDEX, 3]], dtype=np.uint8)
    scaled = crop_labels(labels, Crop((4, 4), top=0, left=0, crop_hw=(4, 4), is_mirrored=False))
    assert scaled.tolist() == [[0, 0, 10, 10]] * 2 + [[IGNORE_INDEX, IGNORE_INDEX, 3, 3]] * 2


def test_image_and_labels_are_cut_in_the_resized_frame() -> None:
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, 4:] = 200
    crop = Crop((8, 16), top=2, left=4, crop_hw=(4, 8), is_mirrored=False)
    labels = crop_labels(image[..., 0], crop)
    assert labels.tolist() == [[0] * 4 + [200] * 4] * 4
    assert ((crop_image(image, crop)[..., 0] > 100) == (labels > 100)).all()


def test_image_is_resized_bicubically() -> None:
    image = np.zeros((1, 8, 3), dtype=np.uint8)
    image[:, 4:] = 200
    scaled = crop_image(image, Crop((1, 16), top=0, left=0, crop_hw=(1, 16), is_mirrored=False))[0, :, 0].astype(int)
    # Bicubic sampling overshoots beside an edge, as neither nearest nor bilinear does.
    assert scaled.max() > 200
    assert 0 < scaled[7] < scaled[8] < 200


@given(st.integers(0, 2**32))
def test_drawn_crop_lies_in_its_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = draw_crop(rng, train_hw=(20, 40), scale=(0.5, 1.5), crop_hw=(10, 20), mirror=0.5)
    left, top, right, bottom = crop.box
    assert (bottom - top, right - left) == (10, 20)
    assert top >= 0
    assert bottom <= crop.scaled_hw[0] <= 30
    assert left >= 0
    assert right <= crop.scaled_hw[1] <= 60


def test_drawn_crops_cover_the_whole_range_of_scales_and_places() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_crop(rng, train_hw=(20, 40), scale=(0.5, 1.5), crop_hw=(10, 20), mirror=0.25) for _ in range(400)]
    heights = [crop.scaled_hw[0] for crop in crops]
    assert (min(heights), max(heights)) == (10, 30)
    assert {crop.scaled_hw[1] for crop in crops if crop.scaled_hw[0] == 20} <= {39, 40, 41}
    assert any(crop.top == 0 for crop in crops)
    assert any(crop.left > 0 and crop.left + 20 == crop.scaled_hw[1] for crop in crops)
    assert any(crop.top > 0 and crop.top + 10 == crop.scaled_hw[0] for crop in crops)
    assert 0.15 < np.mean([crop.is_mirrored for crop in crops]) < 0.35


@pytest.mark.parametrize(("mirror", "expected"), [(0.0, {False}), (1.0, {True})])
def test_mirror_is_a_probability(mirror: float, expected: set[bool]) -> None:
    rng = np.random.default_rng(0)
    draws = [draw_crop(rng, train_hw=(8, 8), scale=(1.0, 1.0), crop_hw=(8, 8), mirror=mirror) for _ in range(50)]
    assert {crop.is_mirrored for crop in draws} == expected


def rich_on_the_right() -> NDArray[np.uint8]:
    """(4, 32) labels: one class, but for four classes in the last four columns."""
    labels = np.zeros((4, 32), dtype=np.uint8)
    labels[:, 28:] = [1, 2, 3, 4]
    return labels


def test_poor_crop_is_redrawn_until_it_is_rich() -> None:
    poor = Crop((4, 32), top=0, left=0, crop_hw=(4, 16), is_mirrored=True)
    richness = []
    for seed in range(40):
        crop, labels = class_rich_crop(np.random.default_rng(seed), rich_on_the_right(), poor, min_classes=3)
        assert (crop.scaled_hw, crop.crop_hw, crop.is_mirrored) == (poor.scaled_hw, poor.crop_hw, True)
        assert (labels == crop_labels(rich_on_the_right(), crop)).all()
        richness.append(len(np.unique(labels)))
    # Three of seventeen places are rich: ten tries find one in about 7 of 8 runs, a single try in 1 of 6.
    assert np.mean([found >= 3 for found in richness]) > 0.7


def test_rich_crop_is_kept_and_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    rich = Crop((4, 32), top=0, left=16, crop_hw=(4, 16), is_mirrored=False)
    crop, _ = class_rich_crop(rng, rich_on_the_right(), rich, min_classes=5)
    assert crop == rich
    assert rng.integers(2**32) == np.random.default_rng(0).integers(2**32)


def test_a_frame_that_is_nowhere_rich_is_given_up_after_ten_tries() -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    poor = Crop((4, 32), top=0, left=0, crop_hw=(4, 16), is_mirrored=False)
    crop, labels = class_rich_crop(rng, rich_on_the_right(), poor, min_classes=9)
    places = [(int(other.integers(1)), int(other.integers(17))) for _ in range(10)]
    assert (crop.top, crop.left) == places[-1]
    assert labels.shape == (4, 16)


def test_ignored_pixels_are_no_class() -> None:
    labels = np.full((4, 32), IGNORE_INDEX, dtype=np.uint8)
    labels[:, :16] = 1
    start = Crop((4, 32), top=0, left=8, crop_hw=(4, 16), is_mirrored=False)
    rng = np.random.default_rng(0)
    class_rich_crop(rng, labels, start, min_classes=2)
    assert rng.integers(2**32) != np.random.default_rng(0).integers(2**32)


@pytest.mark.parametrize(
    ("place", "expected"), [((0, 0), (0, 0)), ((10, 20), (30, 60)), ((5, 10), (15, 30)), ((3, 7), (9, 21))]
)
def test_proportional_crop_keeps_its_relative_place(place: tuple[int, int], expected: tuple[int, int]) -> None:
    crop = Crop((20, 40), *place, crop_hw=(10, 20), is_mirrored=True)
    other = proportional_crop(crop, (40, 80))
    assert (other.top, other.left) == expected
    assert (other.scaled_hw, other.crop_hw, other.is_mirrored) == ((40, 80), (10, 20), True)


def test_crop_of_the_whole_frame_leads_to_the_middle_of_a_larger_one() -> None:
    crop = Crop((10, 20), 0, 0, crop_hw=(10, 20), is_mirrored=False)
    other = proportional_crop(crop, (30, 24))
    assert (other.top, other.left) == (10, 2)


def test_same_seed_gives_the_same_crop() -> None:
    first, second = (
        draw_crop(np.random.default_rng([3, 5]), train_hw=(20, 40), scale=(0.5, 1.5), crop_hw=(10, 20), mirror=0.5)
        for _ in range(2)
    )
    assert first == second


def resized_then_cut(array: NDArray[np.uint8], crop: Crop, method: Image.Resampling) -> NDArray[np.uint8]:
    """The plain way: the whole frame is resized, the box cut out of it, and mirrored."""
    height, width = crop.scaled_hw
    whole = np.asarray(Image.fromarray(array).resize((width, height), method))
    left, top, right, bottom = crop.box
    cut = whole[top:bottom, left:right]
    return cut[:, ::-1] if crop.is_mirrored else cut


@given(st.integers(0, 2**32))
def test_resizing_the_box_alone_is_resizing_the_frame_and_cutting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = draw_crop(rng, train_hw=(50, 75), scale=(0.7, 2.0), crop_hw=(32, 48), mirror=0.5)
    image = rng.integers(0, 256, (50, 75, 3), dtype=np.uint8)
    bicubic = resized_then_cut(image, crop, Image.Resampling.BICUBIC).astype(int)
    channel = np.ascontiguousarray(image[..., 0])
    bilinear = resized_then_cut(channel, crop, Image.Resampling.BILINEAR).astype(int)
    assert np.abs(crop_image(image, crop) - bicubic).max() <= 1
    # Pillow rounds after either direction; simple weights meet exact halves, rarely in both: then it is 2 in a pixel.
    differences = np.abs(crop_map(channel, crop) - bilinear)
    assert differences.max() <= 2
    assert (differences > 1).mean() < 0.005


@pytest.mark.parametrize("scaled_hw", [(40, 60), (80, 120), (120, 180), (160, 60), (20, 30), (10, 30)])
def test_labels_of_the_box_alone_are_those_of_the_frame_at_integer_factors(scaled_hw: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 19, (40, 60), dtype=np.uint8)
    for top, left in ((0, 0), (scaled_hw[0] - 7, scaled_hw[1] - 11), (2, 5)):
        crop = Crop(scaled_hw, top, left, crop_hw=(7, 11), is_mirrored=left == 5)
        assert (crop_labels(labels, crop) == resized_then_cut(labels, crop, Image.Resampling.NEAREST)).all()
