"""The thread that checks results and gives them to the sinks, while the network works on the next frame.

It stands outside the loop that it watches: it goes on telling when the engine hangs, fails or has no frames.
"""

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.loop.config import LoopConfig
from runtime.loop.outlet import Outlet
from runtime.loop.output_check import OutputCheck
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.tally import Tally
from runtime.result import Captured, Result, Stages, Status

__all__ = ["Publisher"]

MILLISECOND_NS = 1_000_000


class Publisher(Thread):
    """Publishes until closed; an unexpected error is kept in `error`.

    Args:
        outlets: one for each sink.
        check: judges outputs.
        pool: where a result's memory goes back to.
        monitor: hears of each result, and is asked for the health.
        tally: counts them.
        config: deadline and heartbeat.
        now_ns: the monotonic clock.
        beat: called at every heartbeat at which the loop is alive, for a watchdog in another process.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        check: OutputCheck,
        pool: SlotPool,
        monitor: Monitor,
        tally: Tally,
        config: LoopConfig,
        now_ns: Callable[[], int],
        beat: Callable[[], None],
    ) -> None:
        super().__init__(name="publisher", daemon=True)
        self._outlets, self._check, self._pool = outlets, check, pool
        self._monitor, self._tally, self._now_ns, self._beat = monitor, tally, now_ns, beat
        self._deadline_ns = config.deadline_ms * MILLISECOND_NS
        self._heartbeat_ns = config.heartbeat_ms * MILLISECOND_NS
        self._queue: SimpleQueue[Slot | None] = SimpleQueue()
        self._last = Captured(-1, -1, "")
        self._told: Health | None = None
        self._told_ns = self._beat_ns = 0
        self.engine_since_ns: int | None = None
        self.bundle_id = ""
        self.error: BaseException | None = None

    def put(self, slot: Slot) -> None:
        """Leave a segmented frame; its share passes to the publisher."""
        self._queue.put(slot)

    def close(self) -> None:
        """Publish what is left, tell that the loop stopped, and end."""
        self._queue.put(None)

    def run(self) -> None:
        """Publish; see the class."""
        try:
            while self._next():
                pass
            self._monitor.set(Reason.STOPPED, "the loop was stopped, or its source is finished")
            self._tell(self._now_ns(), self._monitor.health())
        except BaseException as error:  # told by the loop's own thread, which raises it
            self.error = error
        finally:
            for outlet in self._outlets:
                outlet.close()

    def _next(self) -> bool:
        try:
            slot = self._queue.get(timeout=self._heartbeat_ns / 1e9)
        except Empty:
            self._pulse()
            return True
        if slot is None:
            return False
        try:
            self._publish(slot)
        finally:
            self._pool.give_back(slot)
        self._pulse()
        return True

    def _publish(self, slot: Slot) -> None:
        kept_ns = self._now_ns()
        problem = self._check.problem(slot.frame, slot.labels, slot.confidence)
        if problem is not None:
            self._tally.num_withheld += 1
            self._monitor.note(*problem)
            return
        captured = slot.captured
        published_ns = self._now_ns()
        age_ns = published_ns - captured.captured_ns
        self._monitor.result_published(age_ns=age_ns, deadline_ns=self._deadline_ns)
        self._tally.num_published += 1
        self._tally.num_late += not 0 <= age_ns <= self._deadline_ns
        frame, labels, confidence = slot.read_only
        stages = Stages(
            slot.read_ns - captured.captured_ns,
            slot.taken_ns - slot.read_ns,
            slot.inferred_ns - slot.taken_ns,
            kept_ns - slot.inferred_ns,
            published_ns - kept_ns,
        )
        health = self._monitor.health()
        result = Result(
            captured=captured,
            frame=frame,
            labels=labels,
            confidence=confidence,
            published_ns=published_ns,
            deadline_ns=self._deadline_ns,
            stages=stages,
            health=health,
            counters=self._tally.counters(),
            drop_ratio=self._monitor.drop_ratio,
            bundle_id=slot.bundle_id,
        )
        for outlet in self._outlets:
            outlet.put(slot, result)
        self._last, self._told, self._told_ns = captured, health, published_ns

    def _pulse(self) -> None:
        """Tell what no result told, and say that the loop is alive."""
        now_ns = self._now_ns()
        is_alive = self._watch_engine(now_ns)
        health = self._monitor.health()
        if health is not self._told or now_ns - self._told_ns >= self._heartbeat_ns:
            self._tell(now_ns, health)
        if is_alive and now_ns - self._beat_ns >= self._heartbeat_ns:
            self._beat_ns = now_ns
            self._beat()

    def _watch_engine(self, now_ns: int) -> bool:
        """Whether the engine is not stuck in a frame."""
        since_ns, limit_ms = self.engine_since_ns, self._monitor.config.stall_ms
        if since_ns is not None and now_ns - since_ns > limit_ms * MILLISECOND_NS:
            self._monitor.set(Reason.STALLED, f"one frame has been in the engine for more than {limit_ms} ms")
            return False
        self._monitor.clear(Reason.STALLED)
        return True

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
