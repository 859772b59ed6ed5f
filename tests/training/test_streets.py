"""The procedural driving scenes: pure in their seed, exact in their labels, and different between domains."""

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.labels import LABEL_SPACES
from training.streets.camera import Camera, View
from training.streets.order import outer_first
from training.streets.raster import rasterise
from training.streets.render import MIN_SIZE_PX, Domain, render_frame
from training.streets.shapes import ShapeBuilder, Solid, place

SPACE = LABEL_SPACES["cityscapes19"]
DOMAINS: tuple[Domain, Domain] = ("source", "target")
FLAT_VIEW = View(height_m=1.5, pitch=0.03, yaw=0.0, curvature=0.0)

_DIGEST_OF_A_FRAME = """
import hashlib, sys
from training.streets.render import render_frame
image, labels = render_frame(sys.argv[1], 11, height=64, width=128)
print(hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest())
"""


@cache
def _frames(domain: Domain) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(60, 128, 256, 3) images and (60, 128, 256) labels."""
    images, labels = zip(*(render_frame(domain, seed, height=128, width=256) for seed in range(60)), strict=True)
    return np.stack(images), np.stack(labels)


def _board(depth_m: float, label: int, half_width_m: float = 1.0) -> Solid:
    """An upright board 2 m high that faces the camera."""
    shape = ShapeBuilder(label)
    w = half_width_m
    shape.polygon(((-w, 0, 0), (w, 0, 0), (w, 2, 0), (-w, 2, 0)), role=0, one_sided=True)
    return place(shape.build(), [(1.0, 1.0, 1.0)], (0.0, depth_m))


def _saturation(images: NDArray[np.uint8]) -> float:
    channels = images.astype(np.float64)
    spread, peak = channels.max(axis=-1) - channels.min(axis=-1), channels.max(axis=-1)
    return float((spread / np.maximum(peak, 1)).mean())


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_frame_is_the_same_in_another_process(domain: Domain) -> None:
    image, labels = render_frame(domain, 11, height=64, width=128)
    command = [sys.executable, "-c", _DIGEST_OF_A_FRAME, domain]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert printed == hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_frame_does_not_depend_on_frames_drawn_before(domain: Domain) -> None:
    before = render_frame(domain, 3, height=48, width=96)
    render_frame(domain, 4, height=48, width=96)
    np.random.default_rng(0).random(5)
    after = render_frame(domain, 3, height=48, width=96)
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_seeds_and_domains_give_different_streets() -> None:
    labels = [render_frame(domain, seed, height=64, width=128)[1] for domain in DOMAINS for seed in (0, 1)]
    shares = [(one == other).mean() for number, one in enumerate(labels) for other in labels[:number]]
    assert max(shares) < 0.9


@pytest.mark.parametrize("domain", DOMAINS)
def test_image_and_labels_share_one_size_and_only_known_ids(domain: Domain) -> None:
    images, labels = _frames(domain)
    assert images.dtype == labels.dtype == np.uint8
    assert images.shape == (60, 128, 256, 3)
    assert labels.shape == (60, 128, 256)
    assert labels.max() < SPACE.num_classes


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", SPACE.names)
def test_every_class_is_visible_in_at_least_a_tenth_of_the_frames(domain: Domain, name: str) -> None:
    _, labels = _frames(domain)
    shares = (labels == SPACE.train_id(name)).mean(axis=(1, 2))
    assert (shares > 0.0005).mean() >= 0.1
    assert shares.mean() > 0.0008


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("road", 0.25, 0.42),
        ("building", 0.12, 0.32),
        ("vegetation", 0.06, 0.20),
        ("sky", 0.03, 0.15),
        ("car", 0.04, 0.16),
    ],
)
def test_large_classes_have_the_shares_of_driving_data(domain: Domain, name: str, low: float, high: float) -> None:
    _, labels = _frames(domain)
    assert low < (labels == SPACE.train_id(name)).mean() < high


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_seed_shows_the_same_street_at_every_size(domain: Domain) -> None:
    for seed in range(4):
        _, small = render_frame(domain, seed, height=128, width=256)
        _, large = render_frame(domain, seed, height=384, width=768)
        assert (large[1::3, 1::3] == small).mean() > 0.93


@pytest.mark.parametrize(("height", "width"), [(97, 201), (128, 64), (40, 300), (MIN_SIZE_PX, MIN_SIZE_PX), (600, 700)])
@pytest.mark.parametrize("domain", DOMAINS)
def test_any_size_from_the_smallest_on_is_drawn(domain: Domain, height: int, width: int) -> None:
    for seed in range(3):
        image, labels = render_frame(domain, seed, height=height, width=width)
        assert image.shape == (height, width, 3)
        assert labels.shape == (height, width)


def test_target_is_duller_and_noisier_than_source() -> None:
    (source, source_labels), (target, target_labels) = _frames("source"), _frames("target")
    assert _saturation(target) < 0.75 * _saturation(source)
    assert target.std() < 0.85 * source.std()
    assert _grain(target, target_labels) > 2 * _grain(source, source_labels)


def _grain(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
    """Mean difference between neighbours in the sky, which has no edges of its own."""
    grey = images.astype(np.float64).mean(axis=-1)
    is_sky = labels == SPACE.train_id("sky")
    return float(np.abs(np.diff(grey, axis=2))[is_sky[:, :, 1:] & is_sky[:, :, :-1]].mean())


def test_target_can_be_seen_by_a_person() -> None:
    images, _ = _frames("target")
    assert images.mean(axis=(1, 2, 3)).min() > 40


def test_riders_sit_on_two_wheelers() -> None:
    two_wheelers = [SPACE.train_id("bicycle"), SPACE.train_id("motorcycle")]
    for domain in DOMAINS:
        _, labels = _frames(domain)
        has_rider = (labels == SPACE.train_id("rider")).mean(axis=(1, 2)) > 0.002
        has_two_wheeler = np.isin(labels, two_wheelers).mean(axis=(1, 2)) > 0
        assert has_two_wheeler[has_rider].mean() > 0.9


@pytest.mark.parametrize(("height", "width"), [(MIN_SIZE_PX - 1, 64), (64, MIN_SIZE_PX - 1), (0, 0)])
def test_too_small_a_frame_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"height={height}, width={width}.* at least {MIN_SIZE_PX}"):
        render_frame("source", 0, height=height, width=width)


def test_unknown_domain_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'night' is not known; use one of source, target"):
        render_frame("night", 0, height=64, width=128)  # type: ignore[arg-type]


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        render_frame("source", -1, height=64, width=128)


def test_a_board_is_as_large_as_the_pinhole_camera_says() -> None:
    camera = Camera(FLAT_VIEW, height=200, width=400)
    raster = rasterise([_board(9.0, label=5)], camera)
    rows, columns = np.nonzero(raster.labels == 5)
    # Focal length 360 px: 2 m at 9 m are 80 px; the ground there lies 60 px below the horizon at row 100.
    assert np.ptp(columns) + 1 == pytest.approx(80, abs=1.5)
    assert np.ptp(rows) + 1 == pytest.approx(80, abs=1.5)
    assert rows.max() == pytest.approx(159, abs=1.5)
    assert columns.mean() == pytest.approx(199.5, abs=1)


def test_the_nearer_board_hides_the_farther_one() -> None:
    camera = Camera(FLAT_VIEW, height=200, width=400)
    for solids in ([_board(8.0, 5), _board(12.0, 6)], [_board(12.0, 6), _board(8.0, 5)]):
        raster = rasterise(solids, camera)
        assert raster.labels[110, 200] == 5
        assert raster.depth_m[110, 200] == pytest.approx(8.0, rel=1e-3)


def _block(label: int, x_m: float, near_m: float, far_m: float) -> Solid:
    """A box 2 m wide and 2 m high."""
    shape = ShapeBuilder(label)
    shape.frustum((1, 0, near_m, far_m), (1, 2, near_m, far_m), 0)
    return place(shape.build(), [(1.0, 1.0, 1.0)], (x_m, 0.0))


def test_a_long_solid_hides_the_one_beside_it_farther_out() -> None:
    # The parked one starts nearer, yet the line of sight to it leads through the long one.
    long, parked = _block(15, 3.0, 6.0, 18.0), _block(13, 6.0, 5.0, 10.0)
    assert [solid.order_m for solid in (long, parked)] == [6.0, 5.0]
    ordered = outer_first([long, parked])
    assert ordered[0].order_m < ordered[1].order_m == 5.0


def test_solids_that_are_not_side_by_side_keep_their_order() -> None:
    blocks = [_block(15, 3.0, 6.0, 9.0), _block(13, 6.0, 10.0, 14.0), _block(13, -6.0, 5.0, 10.0)]
    assert [solid.order_m for solid in outer_first(blocks)] == [6.0, 10.0, 5.0]


def test_what_stands_before_a_solid_in_its_lane_stays_before_it() -> None:
    long, parked, follower = _block(15, 3.0, 6.0, 18.0), _block(13, 6.0, 2.0, 10.0), _block(13, 3.0, 2.5, 5.0)
    ordered = outer_first([long, parked, follower])
    assert ordered[2].order_m < ordered[0].order_m < ordered[1].order_m


def test_a_board_turned_away_is_not_seen() -> None:
    board = _board(8.0, 5)
    turned = place(board.shape, [(1.0, 1.0, 1.0)], (0.0, 8.0), yaw=np.pi)
    assert not (rasterise([turned, _board(12.0, 6, 0.1)], Camera(FLAT_VIEW, height=100, width=200)).labels == 5).any()


def test_ground_depth_is_exact_in_every_row() -> None:
    shape = ShapeBuilder(0)
    shape.polygon(((-9, 0, 2), (9, 0, 2), (9, 0, 80), (-9, 0, 80)), role=0)
    raster = rasterise([place(shape.build(), [(1.0, 1.0, 1.0)], (0.0, 0.0))], Camera(FLAT_VIEW, height=200, width=400))
    # depth = focal length * camera height / (row centre - horizon)
    assert raster.depth_m[150, 200] == pytest.approx(360 * 1.5 / 50.5, rel=1e-3)
    assert raster.depth_m[190, 30] == pytest.approx(360 * 1.5 / 90.5, rel=1e-3)
