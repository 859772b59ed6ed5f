"""The loop of a vehicle: the newest frame, its labels, their health, without end.

    reader      source -> newest frame                    a thread; opens the source again when it is lost
    run         newest frame -> network -> published      the caller's thread; opens the engine again when it fails
    outlets     results -> sinks                          a thread for each
    watchdog    tells the health when no result does      a thread; finds out whoever is stuck

Reading the next frame, the network, and whatever is done with the last result overlap. What stands between the
network and the sinks (copying, checking, handing over) does not: it is Python's own time, in which one thread runs
whoever it is, and it is small beside the network's. Within the network's time, transfers and the tail on the host
follow one another, because each of them takes all there is of its device.

A frame is written once, by its source; labels and confidence are copied once, out of the engine. All memory of pixels
is allocated at the start.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from time import monotonic, monotonic_ns

import numpy as np

from runtime.errors import BackendError, NotFiniteError, SinkError, SourceError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.backoff import Backoff
from runtime.loop.config import LoopConfig
from runtime.loop.interpreter import Interpreter
from runtime.loop.mailbox import Mailbox
from runtime.loop.outlet import Outlet
from runtime.loop.output_check import OutputCheck
from runtime.loop.publisher import Publisher
from runtime.loop.reader import Reader
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.stop_flag import StopFlag
from runtime.loop.tally import Tally
from runtime.loop.watchdog import Lease, Watchdog
from runtime.result import Counters
from runtime.sinks.sink import Sink
from runtime.sources.source import Source
from runtime.swap.served import Served

__all__ = ["Loop", "NamedSink"]

# One being read, the one read last, one waiting, one in the network, the one published last; a sink holds one and has
# one waiting.
OWN_SLOTS, SINK_SLOTS = 5, 2


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink, what messages call it, and whether results it misses count against the health."""

    name: str
    sink: Sink
    is_watched: bool = True


class Loop:
    """Segments the newest frame of a source until it is finished or `stop` is called; runs once.

    Args:
        served: the network; closed by whoever opened it.
        open_source: opens the source, again whenever it was lost.
        sinks: who gets the results; the loop closes them.
        monitor: the health.
        config: times.
        now_ns: the monotonic clock.
        beat: called at every heartbeat while nothing is stuck, for a watchdog in another process.

    Attributes:
        tally: counters of what happened so far.
    """

    def __init__(
        self,
        served: Served,
        open_source: Callable[[], Source],
        sinks: Sequence[NamedSink],
        monitor: Monitor,
        config: LoopConfig,
        *,
        now_ns: Callable[[], int] = monotonic_ns,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        manifest = served.manifest
        self.tally = Tally()
        self._served, self._monitor, self._config, self._now_ns = served, monitor, config, now_ns
        self._stopping = StopFlag()
        self._heartbeat_s = config.heartbeat_ms / 1e3
        num_slots = OWN_SLOTS + SINK_SLOTS * len(sinks)
        self._pool = SlotPool(num_slots, (manifest.frame_height, manifest.frame_width))
        self._newest: Mailbox[Slot] = Mailbox()
        self._reader = Reader(
            open_source, self._pool, self._newest, monitor, self.tally, config, self._stopping, now_ns
        )
        self._outlets = [Outlet(named.sink, named.name, named.is_watched, self._pool, monitor) for named in sinks]
        self._check = OutputCheck(self._pool, len(manifest.classes), monitor.config.max_repeated_outputs)
        self._publisher = Publisher(self._outlets, monitor, self.tally, config, now_ns)
        self._lease = Lease(now_ns)
        self._watchdog = Watchdog(
            (self._lease, self._reader.lease), self._publisher, monitor, self._heartbeat_s, beat, self._stopping
        )
        self._threads: tuple[Outlet | Watchdog | Reader, ...] = (*self._outlets, self._watchdog, self._reader)
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s, self._stopping)
        self._num_withheld_in_a_row = 0

    def run(self) -> Counters:
        """Segment frames on this thread; returns what was counted, after every sink was closed.

        Raises:
            BackendError: the engine failed again and again; a new process may help.
            SourceError: the source hangs, and did not end with the loop.
            SinkError: a sink hangs, and did not end with the loop.
            Exception: whatever else ended a thread, which is a bug of a source or sink, or ours.
        """
        self._publisher.bundle_id = self._served.bundle_id
        with Interpreter(is_collecting=self._config.is_collecting, now_ns=self._now_ns) as interpreter:
            self._monitor.await_frames()
            self._publisher.pulse()
            try:
                for thread in self._threads:
                    thread.start()
                self._segment_all(interpreter)
            finally:
                hung = self._finish()
        for thread in self._threads:
            if thread.error is not None:
                raise thread.error
        if hung:
            names = ", ".join(thread.name for thread in hung)
            message = f"{names}: did not end within loop.stop_ms={self._config.stop_ms} and was left behind"
            raise SourceError(message) if self._reader in hung else SinkError(message)
        return self.tally.counters()

    def stop(self) -> None:
        """End after the frame under way; from any thread or signal handler."""
        self._stopping.set()

    def _segment_all(self, interpreter: Interpreter) -> None:
        while not (self._stopping.is_set or self._newest.is_exhausted):
            self._lease.renew("changing the bundle", self._monitor.config.stall_ms)
            self._served.settle(self._monitor.health())
            self._publisher.bundle_id = self._served.bundle_id
            self.tally.num_swaps = self._served.num_swaps
            interpreter.collect_if_due()
            self._lease.end()
            slot = self._newest.take(self._heartbeat_s)
            if slot is not None:
                self._segment(slot)

    def _segment(self, slot: Slot) -> None:
        slot.taken_ns = self._now_ns()
        self._lease.renew("one frame in the engine", self._monitor.config.stall_ms)
        failure: BackendError | None = None
        num_published = self.tally.num_published
        try:
            self._publish(slot)
        except NotFiniteError as error:
            self._monitor.note(Reason.OUTPUT_NOT_FINITE, str(error))
        except BackendError as error:
            failure = error
        finally:
            is_withheld = self.tally.num_published == num_published
            self.tally.num_withheld += is_withheld
            self._pool.give_back(slot)
        self._num_withheld_in_a_row = self._num_withheld_in_a_row + 1 if is_withheld else 0
        if self._num_withheld_in_a_row >= self._monitor.config.max_withheld:
            failure = failure or BackendError(f"the last {self._num_withheld_in_a_row} outputs could not be used")
        if failure is not None:
            self._num_withheld_in_a_row = 0
            self._restart(failure)

    def _publish(self, slot: Slot) -> None:
        segmentation = self._served.segment(slot.frame)
        slot.inferred_ns = self._now_ns()
        np.copyto(slot.labels, segmentation.labels)
        np.copyto(slot.confidence, segmentation.confidence)
        slot.kept_ns = self._now_ns()
        slot.bundle_id = self._served.bundle_id
        problem = self._check.problem(slot)
        if problem is not None:
            self._monitor.note(*problem)
            return
        self._backoff.reset()
        self._monitor.clear(Reason.ENGINE_FAILED)
        self._publisher.publish(slot)

    def _restart(self, error: BackendError) -> None:
        """Open the engine again, after a wait that grows; gives up after `max_restarts` failures in a row."""
        while True:
            self._monitor.set(Reason.ENGINE_FAILED, str(error))
            if self._backoff.num_waits >= self._config.max_restarts:
                raise error
            self._lease.end()
            if not self._backoff.wait():
                return
            self._lease.renew("opening the engine again", self._monitor.config.restart_stall_ms)
            self.tally.num_restarts += 1
            try:
                self._served.restart()
            except BackendError as again:
                error = again
            else:
                return

    def _finish(self) -> list[Thread]:
        """End every thread, the sinks' last; gives those that do not."""
        self._stopping.set()
        self._lease.end()
        until_s = monotonic() + self._config.stop_ms / 1e3
        # Half of the time at most, so that the sinks end well even where the source hangs.
        _join(self._reader, monotonic() + self._config.stop_ms / 2e3)
        self._newest.close()
        waiting = self._newest.take(0.0)
        if waiting is not None:
            self.tally.num_dropped += 1
            self._pool.give_back(waiting)
        self._check.forget()
        self._publisher.close()
        self._watchdog.close()
        for thread in self._threads:
            _join(thread, until_s)
        return [thread for thread in self._threads if thread.is_alive()]


def _join(thread: Thread, until_s: float) -> None:
    # A thread that was never started, because another could not be, has nothing to end.
    with suppress(RuntimeError):
        thread.join(max(0.0, until_s - monotonic()))
