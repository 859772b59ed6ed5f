from collections.abc import Callable, Iterator

import numpy as np

from runtime.sources.arrival import ArrivalClock

SECOND_NS = 1_000_000_000
PERIOD_NS = 100_000_000
NETWORK_NS = 20_000_000


def ages_s(
    clock: ArrivalClock, seconds: float, stamp: Callable[[float], float | None], delay: Callable[[float], float]
) -> Iterator[float]:
    """Ages of ten frames a second, each captured at t, stamped `stamp(t)`, there `delay(t)` later; times in seconds.

    None is no frame. The network adds up to 20 ms, now more, now less.
    """
    jitter = np.random.default_rng(0)
    for index in range(int(seconds * 10)):
        t = index / 10
        stamp_s = stamp(t)
        arrived_ns = 50 * SECOND_NS + round((t + delay(t)) * SECOND_NS) + int(jitter.integers(NETWORK_NS))
        if stamp_s is not None:
            yield (arrived_ns - clock.captured_ns(round(stamp_s * SECOND_NS), arrived_ns)) / SECOND_NS


def test_frame_that_waited_in_the_network_is_as_old_as_it_waited() -> None:
    clock = ArrivalClock()
    first_ns = clock.captured_ns(0, 50 * SECOND_NS)
    assert first_ns == 50 * SECOND_NS
    # The network holds 20 frames back for two seconds, then gives all at once.
    arrived_ns = 52 * SECOND_NS
    ages_ns = [arrived_ns - clock.captured_ns(index * PERIOD_NS, arrived_ns) for index in range(1, 21)]
    assert 1.89 * SECOND_NS < ages_ns[0] <= 1.9 * SECOND_NS
    assert ages_ns == sorted(ages_ns, reverse=True)
    assert ages_ns[-1] < 0.001 * SECOND_NS


def test_frame_never_comes_from_the_future() -> None:
    clock = ArrivalClock()
    clock.captured_ns(0, 50 * SECOND_NS)
    # The first one was slow: the second one shows that the camera's clock stands further back.
    assert clock.captured_ns(PERIOD_NS, 50 * SECOND_NS + 10) == 50 * SECOND_NS + 10


def test_slow_clock_of_a_camera_is_no_delay() -> None:
    clock, arrived_ns = ArrivalClock(), 0
    # An hour at 100 parts in a million too slow would add up to 0.36 s.
    for second in range(3600):
        arrived_ns = second * SECOND_NS
        captured_ns = clock.captured_ns(round(second * SECOND_NS * (1 - 100e-6)), arrived_ns)
    assert arrived_ns - captured_ns < 0.001 * SECOND_NS


def test_camera_that_started_again_is_not_old() -> None:
    clock = ArrivalClock()
    clock.captured_ns(100 * SECOND_NS, 50 * SECOND_NS)
    assert clock.captured_ns(0, 51 * SECOND_NS) == 51 * SECOND_NS
    assert clock.captured_ns(PERIOD_NS, 51 * SECOND_NS + PERIOD_NS) == 51 * SECOND_NS + PERIOD_NS


def test_clock_that_stood_still_for_a_while_is_found_out_and_told_once() -> None:
    told: list[str] = []
    clock = ArrivalClock(told.append)
    # The camera gives nothing from 60 s to 63 s, and goes on with the time at which it stopped; at 200 s once more.
    pauses = [(60, 3.0), (200, 0.5)]

    def stamp(t: float) -> float | None:
        if any(start <= t < start + length for start, length in pauses):
            return None
        return t - sum(length for start, length in pauses if t >= start)

    ages = list(ages_s(clock, 300, stamp, lambda t: 0.0))
    late = [age for age in ages if age > 0.05]
    assert max(late) < 3.1
    # Two spans after each pause, in which nobody can know.
    assert 2 * 195 < len(late) < 2 * 205
    assert max(ages[-500:]) < 0.03
    assert len(told) == 1
    assert told[0].startswith("its pictures come 3.0")


def test_clock_that_runs_much_too_slow_is_followed_at_its_rate() -> None:
    told: list[str] = []
    ages = list(ages_s(ArrivalClock(told.append), 3600, lambda t: t * (1 - 0.004), lambda t: 0.0))
    assert max(ages) < 0.25
    # Before two minutes are over, and from there on.
    assert max(ages[1200:]) < 0.05
    assert len(told) == 1


def test_frames_that_wait_in_a_network_stay_late() -> None:
    told: list[str] = []
    clock = ArrivalClock(told.append)
    # A queue that fills by 30 ms a second for a minute, then drains at the same rate.
    ages = list(ages_s(clock, 180, lambda t: t, lambda t: 0.03 * max(0.0, min(t - 30, 150 - t))))
    for second in range(40, 140):
        assert ages[10 * second] > 0.03 * min(second - 30, 150 - second) - 0.05
    assert max(ages[-200:]) < 0.05
    assert told == []


def test_frames_that_wait_for_less_than_two_spans_stay_late() -> None:
    told: list[str] = []
    ages = list(ages_s(ArrivalClock(told.append), 120, lambda t: t, lambda t: 2.0 if 30 <= t < 48 else 0.0))
    assert min(ages[300:480]) > 1.9
    assert max(ages[500:]) < 0.05
    assert told == []


def test_stream_without_times_counts_from_arrival() -> None:
    assert ArrivalClock().captured_ns(None, 7) == 7
