"""The promises of the test, tried out on made-up worlds; every figure follows from the docstring's bounds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.drift.detector import Detector
from runtime.drift.features import describe
from runtime.drift.reference import Reference, reference_of

Features = NDArray[np.float32]
World = Callable[[int, int], Features]
DESCRIBED = describe(("road", "sky", "car"))
KEYS = [feature.key for feature in DESCRIBED]


def detector(reference: Reference, *, between: float = 10_000, alike: int = 1) -> Detector:
    return Detector(DESCRIBED, reference, frames_between_false_alarms=between, num_alike=alike)


def looks_until(found: Detector, frames: Features, *, is_alarm: bool) -> int | None:
    return next((n for n, frame in enumerate(frames, start=1) if bool(found.look(frame)) == is_alarm), None)


def test_false_alarms_are_rarer_than_asked_for_over_many_references(world: World) -> None:
    """Two hundred worlds of one reference each: no more than t / 2A of them may alarm within t looks."""
    between, num_looks, alarmed = 100, 100, 0
    for number in range(200):
        found = detector(reference_of(world(60, 2 * number), KEYS), between=between)
        alarmed += looks_until(found, world(num_looks, 2 * number + 1), is_alarm=True) is not None
    assert alarmed / 200 <= num_looks / (2 * between)


def test_bound_holds_for_nineteen_references_in_twenty(world: World) -> None:
    """All ends of all features together: how often is one of them beyond more often than it may?"""
    broken = 0
    for number in range(100):
        reference = reference_of(world(60, number), KEYS)
        low = np.array([reference.features[key].low for key in KEYS])
        high = np.array([reference.features[key].high for key in KEYS])
        # Of a normal distribution, exactly.
        beyond = [0.5 * math.erfc(abs(end - 10) / math.sqrt(2)) for end in (*low, *high)]
        broken += max(beyond) > detector(reference).bound
    assert broken <= 5


def test_bound_of_a_reference_without_a_frame_beyond_is_the_exact_one() -> None:
    values = np.random.default_rng(0).normal(size=(40, len(KEYS))).astype(np.float32)
    reference = reference_of(values, KEYS).model_copy(update={"num_independent": 40.0})
    chance = 0.05 / (2 * len(KEYS))
    assert detector(reference).bound == pytest.approx(1 - chance ** (1 / 40), abs=1e-6)


@pytest.mark.parametrize("side", [-1, 1])
def test_world_that_has_left_is_noticed_within_few_looks_and_named(
    world: World, reference: Reference, side: int
) -> None:
    found = detector(reference)
    assert looks_until(found, world(1000, 1), is_alarm=True) is None
    gone = world(50, 2)
    gone[:, 0] += 8 * side
    delay = looks_until(found, gone, is_alarm=True)
    assert delay is not None
    assert delay <= 10
    (departure,) = found.look(gone[0])
    assert (departure.feature.key, departure.is_above) == ("luminance", side > 0)
    assert departure.mean == pytest.approx(10, abs=0.3)
    assert abs(departure.recent - 10) > 3


def test_fewer_reference_frames_take_longer_to_be_sure(world: World) -> None:
    gone = world(500, 2)
    gone[:, 0] += 20
    delays = [
        looks_until(detector(reference_of(world(number, 0), KEYS)), gone, is_alarm=True) for number in (8, 30, 300)
    ]
    assert None not in delays
    assert delays == sorted(delays, key=lambda delay: -(delay or 0))
    assert len(set(delays)) == 3


def test_world_that_is_out_half_of_the_time_is_noticed(world: World, reference: Reference) -> None:
    frames = world(400, 2)
    frames[::2, 3] += 20
    assert looks_until(detector(reference), frames, is_alarm=True) is not None


def test_single_odd_frame_is_no_alarm_however_odd(world: World, reference: Reference) -> None:
    frames = world(300, 2)
    frames[::30] += 1e6
    assert looks_until(detector(reference), frames, is_alarm=True) is None


def test_alarm_ends_when_the_world_is_back_and_not_before(world: World, reference: Reference) -> None:
    found = detector(reference)
    gone = world(2000, 2)
    gone[:, 0] += 20
    for frame in gone:
        departures = found.look(frame)
    assert departures
    back = looks_until(found, world(1000, 3), is_alarm=False)
    assert back is not None
    # However long the world was gone; a stake of a quarter loses the threshold at 0.288 a look.
    assert back >= found.log_threshold / 0.2877 - 1
    assert back <= 3 * found.log_threshold / 0.2877
    assert looks_until(found, world(1000, 4), is_alarm=True) is None


def test_frames_that_repeat_each_other_raise_no_more_alarms_where_that_is_told(world: World) -> None:
    """Every frame five times: told of it, the test keeps its promise."""
    between, num_looks, alarmed = 50, 50, 0
    for number in range(100):
        found = detector(reference_of(world(60, 2 * number), KEYS), between=between, alike=5)
        frames = world(num_looks // 5, 2 * number + 1).repeat(5, axis=0)
        alarmed += looks_until(found, frames, is_alarm=True) is not None
    assert alarmed / 100 <= num_looks / (2 * between)


def test_looks_that_tell_the_same_count_as_one(world: World, reference: Reference) -> None:
    gone = np.full((500, len(KEYS)), 1e3, dtype=np.float32)
    one, five = (looks_until(detector(reference, alike=alike), gone, is_alarm=True) for alike in (1, 5))
    assert one is not None
    assert five is not None
    assert 4 * one < five <= 5 * one


def test_state_is_two_numbers_an_end_and_bounded(world: World, reference: Reference) -> None:
    found = detector(reference)
    for frame in 1e3 + world(100, 2):
        found.look(frame)
    assert found.log_wealth.shape == (2, 2 * len(KEYS))
    assert found.log_wealth.max() == found.log_threshold
    assert found.evidence == 1
