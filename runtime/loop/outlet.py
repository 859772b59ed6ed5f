"""A sink's own thread: it gets the newest result when it is ready for one, and never holds up the loop."""

from collections.abc import Callable
from threading import Condition, Thread

from runtime.errors import SinkError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.slots import Slot, SlotPool
from runtime.result import Result, Status
from runtime.sinks.sink import Sink

__all__ = ["Outlet"]

WAKE_S = 1.0


class Outlet(Thread):
    """Hands results to one sink; an unexpected error is kept in `error`.

    Args:
        sink: who wants them.
        name: what messages call it.
        is_watched: whether results that it misses count against the loop's health.
        pool: where a result's memory goes back to.
        monitor: hears of failures.
    """

    def __init__(self, sink: Sink, name: str, is_watched: bool, pool: SlotPool, monitor: Monitor) -> None:
        super().__init__(name=f"sink {name}", daemon=True)
        self._sink, self._title, self._is_watched = sink, name, is_watched
        self._pool, self._monitor = pool, monitor
        self._changed = Condition()
        self._result: tuple[Slot, Result] | None = None
        self._status: Status | None = None
        self._is_closed = False
        self._drop_ratio = 0.0
        self.num_written = self.num_missed = 0
        self.error: BaseException | None = None

    def put(self, slot: Slot, result: Result) -> None:
        """Leave a result, which has a share in the slot; one that the sink did not get to is dropped."""
        self._pool.share(slot)
        with self._changed:
            missed, self._result = self._result, (slot, result)
            # A result says all that a status does.
            self._status = None
            self._changed.notify()
        if missed is not None:
            self.num_missed += 1
            self._pool.give_back(missed[0])
        self._watch(is_missed=missed is not None)

    def tell(self, status: Status) -> None:
        """Leave news; the sink gets the newest."""
        with self._changed:
            self._status = status
            self._changed.notify()

    def close(self) -> None:
        """Let the sink take what is left, then close it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def run(self) -> None:
        """Deliver until closed; see the class."""
        try:
            while self._deliver():
                pass
            self._try(self._sink.close)
        except BaseException as error:  # told by the loop's own thread, which raises it
            self.error = error

    def _deliver(self) -> bool:
        with self._changed:
            if self._result is None and self._status is None and not self._is_closed:
                self._changed.wait(WAKE_S)
            result, self._result = self._result, None
            status, self._status = self._status, None
            is_last = self._is_closed
        if result is not None:
            try:
                self._try(lambda: self._sink.write(result[1]))
                self.num_written += 1
            finally:
                self._pool.give_back(result[0])
        if status is not None:
            self._try(lambda: self._sink.tell(status))
        return not is_last

    def _try(self, deliver: Callable[[], None]) -> None:
        try:
            deliver()
        except SinkError as error:
            self._monitor.note(Reason.SINK_FAILED, f"{self._title}: {error}")

    def _watch(self, *, is_missed: bool) -> None:
        if not self._is_watched:
            return
        config = self._monitor.config
        self._drop_ratio += (is_missed - self._drop_ratio) / config.ratio_frames
        if self._drop_ratio > config.max_sink_drop_ratio:
            self._monitor.note(Reason.SINK_SLOW, f"{self._title} misses more than {config.max_sink_drop_ratio:.0%}")
