"""Gives results to the sinks, and tells them how the loop is where no result does."""

from collections.abc import Callable, Sequence
from threading import Lock

from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.loop.config import LoopConfig
from runtime.loop.outlet import Outlet
from runtime.loop.slots import Slot
from runtime.loop.tally import Tally
from runtime.result import NOTHING, Result, Stages, Status
from runtime.units import MILLISECOND_NS

__all__ = ["Publisher"]


class Publisher:
    """Hands everything to every outlet in one order, whichever thread it comes from; waits for nobody.

    Args:
        outlets: one for each sink.
        monitor: hears of each result, and is asked for the health.
        tally: counts them.
        config: deadline and heartbeat.
        now_ns: the monotonic clock.

    Attributes:
        bundle_id: the bundle in service, which statuses name.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        monitor: Monitor,
        tally: Tally,
        config: LoopConfig,
        now_ns: Callable[[], int],
    ) -> None:
        self._outlets, self._monitor, self._tally, self._now_ns = outlets, monitor, tally, now_ns
        self._deadline_ns = config.deadline_ms * MILLISECOND_NS
        self._heartbeat_ns = config.heartbeat_ms * MILLISECOND_NS
        self._lock = Lock()
        self._last = NOTHING
        self._told: Health | None = None
        self._told_ns = 0
        self._is_closed = False
        self.bundle_id = ""

    def publish(self, slot: Slot) -> None:
        """Give a result to every sink; its age ends here."""
        with self._lock:
            published_ns = self._now_ns()
            age_ns = published_ns - slot.captured.captured_ns
            self._monitor.result_published(age_ns=age_ns, deadline_ns=self._deadline_ns)
            self._tally.num_published += 1
            self._tally.num_late += not 0 <= age_ns <= self._deadline_ns
            result = self._result(slot, published_ns)
            for outlet in self._outlets:
                outlet.put(slot, result)
            self._last, self._told, self._told_ns = slot.captured, result.health, published_ns

    def pulse(self) -> None:
        """Tell the health where it changed, or where nothing was told for a heartbeat."""
        with self._lock:
            if self._is_closed:
                return
            now_ns, health = self._now_ns(), self._monitor.health()
            if health is not self._told or now_ns - self._told_ns >= self._heartbeat_ns:
                self._tell(now_ns, health)

    def close(self) -> None:
        """Tell that the loop stopped, which is the last that the sinks hear."""
        with self._lock:
            self._is_closed = True
            self._monitor.set(Reason.STOPPED, "the loop was stopped, or its source is finished")
            self._tell(self._now_ns(), self._monitor.health())
            for outlet in self._outlets:
                outlet.close()

    def _result(self, slot: Slot, published_ns: int) -> Result:
        captured = slot.captured
        frame, labels, confidence = slot.read_only
        return Result(
            captured=captured,
            frame=frame,
            labels=labels,
            confidence=confidence,
            published_ns=published_ns,
            deadline_ns=self._deadline_ns,
            stages=Stages(
                slot.read_ns - captured.captured_ns,
                slot.taken_ns - slot.read_ns,
                slot.inferred_ns - slot.taken_ns,
                slot.kept_ns - slot.inferred_ns,
                published_ns - slot.kept_ns,
            ),
            health=self._monitor.health(),
            counters=self._tally.counters(),
            drop_ratio=self._monitor.drop_ratio,
            bundle_id=slot.bundle_id,
        )

    def _tell(self, now_ns: int, health: Health) -> None:
        status = Status(
            now_ns=now_ns,
            health=health,
            counters=self._tally.counters(),
            drop_ratio=self._monitor.drop_ratio,
            last_frame_id=self._last.frame_id,
            last_captured_ns=self._last.captured_ns,
            bundle_id=self.bundle_id,
        )
        for outlet in self._outlets:
            outlet.tell(status)
        self._told, self._told_ns = health, now_ns
