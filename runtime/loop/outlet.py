"""A sink's own thread: it gets the newest result when it is ready for one, and never holds up the loop."""

import logging
from collections.abc import Callable
from threading import Condition, Thread

from runtime.errors import DiskFullError, SinkError
from runtime.health.monitor import Monitor
from runtime.health.ratio import Ratio
from runtime.health.reasons import Reason
from runtime.loop.slots import Slot, SlotPool
from runtime.result import Result, Status
from runtime.sinks.sink import Sink

__all__ = ["Outlet"]

LOGGER = logging.getLogger(__name__)


class Outlet(Thread):
    """Hands results to one sink. What the sink does to itself reaches no other: at worst its results are missed.

    Args:
        sink: who wants them.
        name: what messages call it.
        is_watched: whether results that it misses count against the loop's health.
        pool: where a result's memory goes back to.
        monitor: hears of failures.

    Attributes:
        num_written: results the sink took.
        num_missed: results it was not ready for.
        error: its first error that is no SinkError, which is a bug.
    """

    def __init__(self, sink: Sink, name: str, is_watched: bool, pool: SlotPool, monitor: Monitor) -> None:
        super().__init__(name=f"sink {name}", daemon=True)
        self._sink, self._title, self._is_watched = sink, name, is_watched
        self._pool, self._monitor = pool, monitor
        self._changed = Condition()
        self._result: tuple[Slot, Result] | None = None
        self._status: Status | None = None
        self._is_closed = False
        self._missed = Ratio(monitor.config.ratio_frames, monitor.config.max_sink_drop_ratio)
        self._problem = ""
        self.num_written = self.num_missed = 0
        self.error: BaseException | None = None

    def put(self, slot: Slot, result: Result) -> None:
        """Leave a result, which has a share in the slot; one that the sink did not get to is dropped."""
        self._pool.share(slot)
        with self._changed:
            missed, self._result = self._result, (slot, result)
            if self._status is not None and self._status.health is result.health:
                # The result says all that this status does.
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
        while self._deliver():
            pass
        if not self._try(self._sink.close):
            # The health is told no more.
            LOGGER.error("%s could not be finished: %s", self._title, self._problem)

    def _deliver(self) -> bool:
        with self._changed:
            while self._result is None and self._status is None and not self._is_closed:
                self._changed.wait()
            result, self._result = self._result, None
            status, self._status = self._status, None
            is_last = self._is_closed
        if status is not None and result is not None and status.now_ns < result[1].published_ns:
            self._try(self._sink.tell, status)
            status = None
        if result is not None:
            self.num_written += self._try(self._sink.write, result[1])
            self._pool.give_back(result[0])
        if status is not None:
            self._try(self._sink.tell, status)
        return not is_last

    def _try(self, call: Callable[..., None], *arguments: Result | Status) -> bool:
        """Whether the sink took it."""
        try:
            call(*arguments)
        except DiskFullError as error:
            self._fail(Reason.DISK_FULL, str(error))
        except SinkError as error:
            self._fail(Reason.SINK_FAILED, str(error))
        except BaseException as error:
            # Even SystemExit, which would otherwise end this thread without a word.
            if self.error is None:
                self.error = error
                LOGGER.exception("sink %s has a bug; it gets the next result all the same", self._title)
            self._fail(Reason.SINK_FAILED, f"{type(error).__name__}: {error}")
        else:
            return True
        return False

    def _fail(self, reason: Reason, problem: str) -> None:
        self._problem = problem
        self._monitor.note(reason, f"{self._title}: {problem}")

    def _watch(self, *, is_missed: bool) -> None:
        self._missed.count(happened=is_missed)
        if self._is_watched and self._missed.is_exceeded:
            limit = self._monitor.config.max_sink_drop_ratio
            self._monitor.note(Reason.SINK_SLOW, f"{self._title} misses more than {limit:.0%} of the results")
