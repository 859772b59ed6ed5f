from collections.abc import Iterator
from dataclasses import replace

import pytest

from runtime.errors import SinkError
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import OK, Health, Reason
from runtime.loop.outlet import Outlet
from runtime.loop.slots import SlotPool
from runtime.result import Captured, Counters, Result, Stages, Status
from tests.runtime.loop.doubles import FRAME_HW, PATIENCE_S, Clock, HangingSink, RecordingSink

STALLED = Health(Reason.STALLED, ("stuck",))


@pytest.fixture
def pool() -> SlotPool:
    return SlotPool(4, FRAME_HW)


@pytest.fixture
def monitor() -> Monitor:
    monitor = Monitor(HealthConfig(ratio_frames=4, max_sink_drop_ratio=0.5), Clock())
    monitor.clear(Reason.STARTING)
    return monitor


@pytest.fixture
def sink() -> HangingSink:
    """One that hangs in its first result."""
    return HangingSink("write")


@pytest.fixture
def outlet(sink: HangingSink, pool: SlotPool, monitor: Monitor) -> Iterator[Outlet]:
    outlet = Outlet(sink, "slow", True, pool, monitor)
    outlet.start()
    yield outlet
    sink.let_go.set()
    outlet.close()
    outlet.join(PATIENCE_S)
    assert not outlet.is_alive()
    assert sink.events[-1] == "closed"
    assert pool.num_free == pool.num_slots


def put(outlet: Outlet, pool: SlotPool, number: int, health: Health = OK) -> None:
    slot = pool.take()
    result = Result(
        captured=Captured(number, number, ""),
        frame=slot.frame,
        labels=slot.labels,
        confidence=slot.confidence,
        published_ns=number,
        deadline_ns=1,
        stages=Stages(0, 0, 0, 0, 0),
        health=health,
        counters=Counters(),
        drop_ratio=0.0,
        bundle_id="",
    )
    outlet.put(slot, result)
    pool.give_back(slot)


def finished(outlet: Outlet, sink: HangingSink) -> list[str]:
    sink.let_go.set()
    outlet.close()
    outlet.join(PATIENCE_S)
    return [f"{event.now_ns} {event.health.reasons.name}" for event in sink.told]


def test_sink_that_is_busy_gets_the_newest_result_next(outlet: Outlet, sink: HangingSink, pool: SlotPool) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    for number in range(2, 6):
        put(outlet, pool, number)
        # One with the sink, one that waits.
        assert pool.num_free == pool.num_slots - 2
    finished(outlet, sink)
    assert [seen.number for seen in sink.seen] == [1, 5]
    assert (outlet.num_written, outlet.num_missed) == (2, 3)


def test_sink_that_misses_too_much_is_told_to_the_monitor(
    outlet: Outlet, sink: HangingSink, pool: SlotPool, monitor: Monitor
) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    for number in range(2, 5):
        put(outlet, pool, number)
    assert monitor.health() is OK
    put(outlet, pool, 5)
    assert monitor.health().details == ("slow misses more than 50% of the results",)


def test_news_and_results_arrive_in_the_order_in_which_they_came(
    outlet: Outlet, sink: HangingSink, pool: SlotPool
) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    outlet.tell(Status(2, STALLED))
    put(outlet, pool, 3)
    finished(outlet, sink)
    assert sink.story() == [1, "STALLED", "OK", 3, "closed"]


def test_news_after_a_result_arrives_after_it(outlet: Outlet, sink: HangingSink, pool: SlotPool) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    put(outlet, pool, 2)
    outlet.tell(Status(3, STALLED))
    finished(outlet, sink)
    assert sink.story() == [1, 2, "STALLED", "closed"]


def test_news_that_a_result_repeats_is_not_told(outlet: Outlet, sink: HangingSink, pool: SlotPool) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    outlet.tell(Status(2, STALLED))
    put(outlet, pool, 3, STALLED)
    finished(outlet, sink)
    assert sink.told == []


def test_newest_news_win(outlet: Outlet, sink: HangingSink, pool: SlotPool) -> None:
    put(outlet, pool, 1)
    assert sink.is_hanging.wait(PATIENCE_S)
    outlet.tell(Status(2, STALLED))
    outlet.tell(replace(Status(3, STALLED), drop_ratio=0.5))
    assert finished(outlet, sink) == ["3 STALLED"]


def test_sink_that_cannot_be_finished_is_logged(
    pool: SlotPool, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else tells it: the health was told for the last time before sinks are closed."""

    class Unfinished(RecordingSink):
        def close(self) -> None:
            raise SinkError("/data is full")

    outlet = Outlet(Unfinished(), "video /data/drive.mp4", True, pool, monitor)
    outlet.start()
    outlet.close()
    outlet.join(PATIENCE_S)
    assert caplog.messages == ["video /data/drive.mp4 could not be finished: /data is full"]


@pytest.mark.parametrize("error", [SinkError("no"), SystemExit(3)])
def test_failure_of_a_sink_is_told_and_its_memory_comes_back(
    pool: SlotPool, monitor: Monitor, error: BaseException
) -> None:
    def fail(result: Result) -> None:
        raise error

    outlet = Outlet(RecordingSink(fail), "bad", True, pool, monitor)
    outlet.start()
    put(outlet, pool, 1)
    outlet.close()
    outlet.join(PATIENCE_S)
    assert monitor.health().reasons is Reason.SINK_FAILED
    assert outlet.num_written == 0
    assert outlet.error is (None if isinstance(error, SinkError) else error)
    assert pool.num_free == pool.num_slots
