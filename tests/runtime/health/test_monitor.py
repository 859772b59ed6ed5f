import pytest

from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import OK, Reason, State
from tests.runtime.loop.doubles import MS, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> Monitor:
    """One that has seen a first result, over two frames, forgiving in everything that a test does not ask."""
    config = HealthConfig(
        ratio_frames=2, max_drop_ratio=0.4, max_late_ratio=0.4, max_consecutive_late=3, no_frames_ms=500, hold_ms=1000
    )
    monitor = Monitor(config, clock)
    result(monitor)
    return monitor


def result(monitor: Monitor, *, age_ms: float = 10.0) -> None:
    monitor.frame_captured()
    monitor.result_published(age_ns=int(age_ms * MS), deadline_ns=100 * MS)


def test_monitor_starts_until_the_first_result(clock: Clock) -> None:
    monitor = Monitor(HealthConfig(), clock)
    assert monitor.health().reasons is Reason.STARTING
    monitor.frame_captured()
    assert monitor.health().reasons is Reason.STARTING
    result(monitor)
    assert monitor.health() is OK


def test_health_is_the_same_object_until_it_changes(monitor: Monitor) -> None:
    monitor.set(Reason.THROTTLED, "hot")
    health = monitor.health()
    monitor.set(Reason.THROTTLED, "hot")
    assert monitor.health() is health
    monitor.set(Reason.THROTTLED, "hotter")
    assert monitor.health() is not health
    assert monitor.health().details == ("hotter",)


def test_details_come_in_the_order_of_the_bits(monitor: Monitor) -> None:
    monitor.set(Reason.STALLED, "stuck")
    monitor.note(Reason.DISK_FULL, "full")
    monitor.set(Reason.SOURCE_LOST, "lost")
    health = monitor.health()
    assert health.details == ("lost", "full", "stuck")
    assert health.reasons == Reason.SOURCE_LOST | Reason.DISK_FULL | Reason.STALLED
    assert health.state is State.FAULT


def test_condition_lasts_until_it_is_cleared(monitor: Monitor, clock: Clock) -> None:
    monitor.set(Reason.THROTTLED, "hot")
    for _ in range(100):
        clock.pass_ms(400)
        monitor.frame_captured()
        assert monitor.health().reasons is Reason.THROTTLED
    monitor.clear(Reason.THROTTLED)
    assert monitor.health() is OK
    monitor.clear(Reason.THROTTLED)


def test_event_lasts_for_its_time_after_it_happened_last(monitor: Monitor, clock: Clock) -> None:
    monitor.note(Reason.FRAMES_REFUSED, "corrupt")
    clock.pass_ms(900)
    monitor.note(Reason.FRAMES_REFUSED, "corrupt")
    clock.pass_ms(1000)
    monitor.frame_captured()
    assert monitor.health().details == ("corrupt",)
    clock.pass_ms(1)
    assert monitor.health() is OK


def test_event_outlives_the_end_of_a_condition_of_its_kind(monitor: Monitor, clock: Clock) -> None:
    monitor.set(Reason.DRIFTED, "condition")
    monitor.note(Reason.DRIFTED, "event")
    assert monitor.health().details == ("condition",)
    monitor.clear(Reason.DRIFTED)
    assert monitor.health().details == ("event",)


def test_condition_outlives_an_event_of_its_kind(monitor: Monitor, clock: Clock) -> None:
    monitor.note(Reason.DRIFTED, "event")
    monitor.set(Reason.DRIFTED, "condition")
    clock.pass_ms(2000)
    monitor.frame_captured()
    assert monitor.health().details == ("condition",)


def test_silence_of_the_camera_is_told_and_ends_with_a_frame(monitor: Monitor, clock: Clock) -> None:
    clock.pass_ms(500)
    assert monitor.health() is OK
    clock.pass_ms(1)
    assert monitor.health().reasons is Reason.NO_FRAMES
    monitor.frame_captured()
    assert monitor.health() is OK


def test_silence_counts_from_when_frames_are_awaited(clock: Clock) -> None:
    monitor = Monitor(HealthConfig(no_frames_ms=500), clock)
    # An engine may take long to open.
    clock.pass_ms(10_000)
    monitor.await_frames()
    assert monitor.health().reasons is Reason.STARTING
    clock.pass_ms(501)
    assert monitor.health().reasons == Reason.STARTING | Reason.NO_FRAMES


def test_too_many_overtaken_frames_degrade_until_they_are_few(monitor: Monitor) -> None:
    monitor.frame_dropped()
    assert monitor.drop_ratio == 0.5
    assert monitor.health().reasons is Reason.FRAMES_DROPPED
    assert monitor.health().state is State.DEGRADED
    # 0.5 * 1/2 = 0.25, below 0.8 * 0.4.
    result(monitor)
    assert monitor.health() is OK


@pytest.mark.parametrize("age_ms", [100.1, -0.1])
def test_late_results_and_those_from_the_future_count_as_missed(monitor: Monitor, age_ms: float) -> None:
    result(monitor, age_ms=100)
    assert monitor.health() is OK
    result(monitor, age_ms=age_ms)
    assert monitor.health().reasons is Reason.DEADLINES_MISSED


def test_results_that_are_all_late_are_a_fault_until_one_is_not(monitor: Monitor) -> None:
    for _ in range(2):
        result(monitor, age_ms=200)
        assert not monitor.health().reasons & Reason.ALL_LATE
    result(monitor, age_ms=200)
    assert monitor.health().state is State.FAULT
    result(monitor)
    assert not monitor.health().reasons & Reason.ALL_LATE


def test_late_results_of_another_bundle_are_forgotten_but_not_that_they_were_too_many(monitor: Monitor) -> None:
    late = Reason.DEADLINES_MISSED | Reason.ALL_LATE
    for _ in range(2):
        result(monitor, age_ms=200)
    monitor.another_bundle()
    result(monitor, age_ms=200)
    assert monitor.health().reasons is Reason.DEADLINES_MISSED
    for _ in range(2):
        result(monitor, age_ms=200)
    monitor.another_bundle()
    assert monitor.health().reasons == late


def test_what_was_before_a_silence_is_forgotten(monitor: Monitor, clock: Clock) -> None:
    for _ in range(3):
        monitor.frame_dropped()
        result(monitor, age_ms=200)
    assert monitor.health().reasons == Reason.DEADLINES_MISSED | Reason.ALL_LATE | Reason.FRAMES_DROPPED
    clock.pass_ms(501)
    assert monitor.health().reasons is Reason.NO_FRAMES
    assert monitor.drop_ratio == 0.0
    result(monitor)
    assert monitor.health() is OK
    for _ in range(2):
        result(monitor, age_ms=200)
    assert not monitor.health().reasons & Reason.ALL_LATE
