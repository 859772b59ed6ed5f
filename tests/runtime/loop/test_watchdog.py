import gc
import sys
import weakref

from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.config import LoopConfig
from runtime.loop.interpreter import Interpreter
from runtime.loop.outlet import Outlet
from runtime.loop.publisher import Publisher
from runtime.loop.slots import SlotPool
from runtime.loop.stop_flag import StopFlag
from runtime.loop.tally import Tally
from runtime.loop.watchdog import Lease, Watchdog
from runtime.result import Captured
from tests.runtime.loop.doubles import FRAME_HW, MS, PATIENCE_S, Clock, RecordingSink, until


def test_promise_is_broken_when_its_time_is_over() -> None:
    clock = Clock()
    lease = Lease(clock)
    assert lease.broken() is None
    lease.renew("opening the source", 20)
    clock.pass_ms(20)
    assert lease.broken() is None
    clock.pass_ms(1)
    assert lease.broken() == "opening the source takes more than 20 ms"
    lease.renew("reading a frame", 20)
    assert lease.broken() is None
    clock.pass_ms(1000)
    lease.end()
    assert lease.broken() is None


def test_watchdog_beats_while_nobody_is_stuck() -> None:
    clock, beats = Clock(), []
    monitor = Monitor(HealthConfig(), clock)
    lease = Lease(clock)
    sink = RecordingSink()
    outlet = Outlet(sink, "sink", True, SlotPool(1, FRAME_HW), monitor)
    publisher = Publisher([outlet], monitor, Tally(), LoopConfig(heartbeat_ms=100), clock)
    watchdog = Watchdog([Lease(clock), lease], publisher, monitor, 0.001, lambda: beats.append(clock()), StopFlag())
    outlet.start()
    watchdog.start()
    until(lambda: beats)
    lease.renew("one frame in the engine", 10)
    clock.pass_ms(50)
    until(lambda: sink.knows(Reason.STALLED))
    num_beats = len(beats)
    lease.end()
    until(lambda: len(beats) > num_beats)
    until(lambda: not sink.knows(Reason.STALLED))
    watchdog.close()
    publisher.close()
    for thread in (watchdog, outlet):
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert sink.story() == ["STARTING", "STARTING|STALLED", "STARTING", "STARTING|STOPPED", "closed"]


def test_health_is_told_when_it_changes_and_at_every_heartbeat_at_which_no_result_told_it() -> None:
    clock = Clock()
    pool, monitor = SlotPool(1, FRAME_HW), Monitor(HealthConfig(), clock)
    told: list[int] = []

    class Ear(Outlet):
        def tell(self, status: object) -> None:
            told.append(clock() // MS)

    publisher = Publisher([Ear(RecordingSink(), "", True, pool, monitor)], monitor, Tally(), LoopConfig(), clock)
    start_ms = clock() // MS
    slot = pool.take()

    def at(milliseconds: int, call: object) -> None:
        clock.now_ns = (start_ms + milliseconds) * MS
        slot.captured = Captured(milliseconds, clock(), "")
        assert callable(call)
        call(*(() if call == publisher.pulse else (slot,)))

    at(0, publisher.pulse)
    at(99, publisher.pulse)
    at(100, publisher.pulse)
    at(150, publisher.publish)
    at(249, publisher.pulse)
    at(250, publisher.pulse)
    monitor.set(Reason.THROTTLED, "hot")
    at(251, publisher.pulse)
    assert [moment - start_ms for moment in told] == [0, 100, 250, 251]


def test_nothing_is_told_after_the_loop_stopped() -> None:
    clock = Clock()
    monitor = Monitor(HealthConfig(), clock)
    sink = RecordingSink()
    outlet = Outlet(sink, "sink", True, SlotPool(1, FRAME_HW), monitor)
    publisher = Publisher([outlet], monitor, Tally(), LoopConfig(), clock)
    publisher.close()
    clock.pass_ms(1000)
    publisher.pulse()
    outlet.start()
    outlet.join(PATIENCE_S)
    assert [status.health.reasons for status in sink.told] == [Reason.STARTING | Reason.STOPPED]


class Cycle:
    itself: "Cycle"


def test_interpreter_is_left_as_it_was() -> None:
    clock = Clock()
    switch_s, num_frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with Interpreter(is_collecting=False, now_ns=clock) as interpreter:
        assert not gc.isenabled()
        assert gc.get_freeze_count() > num_frozen
        assert sys.getswitchinterval() < switch_s
        cycle = Cycle()
        cycle.itself, is_alive = cycle, weakref.ref(cycle)
        del cycle
        interpreter.collect_if_due()
        assert is_alive()
        clock.pass_ms(10_001)
        interpreter.collect_if_due()
        assert not is_alive()
    assert gc.isenabled()
    assert sys.getswitchinterval() == switch_s
    assert gc.get_freeze_count() == num_frozen
    with Interpreter(is_collecting=True, now_ns=clock):
        assert gc.isenabled()
