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

from runtime.ending import leave_behind
from runtime.errors import SinkError, SourceError
from runtime.health.monitor import Monitor
from runtime.loop.config import LoopConfig
from runtime.loop.interpreter import Interpreter
from runtime.loop.mailbox import Mailbox
from runtime.loop.network import Network
from runtime.loop.outlet import Outlet
from runtime.loop.publisher import Publisher
from runtime.loop.reader import Reader
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.stop_flag import StopFlag
from runtime.loop.tally import Tally
from runtime.loop.watchdog import Watchdog
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
        self._pool = SlotPool(num_slots, manifest.frame_hw)
        self._newest: Mailbox[Slot] = Mailbox()
        self._reader = Reader(
            open_source, self._pool, self._newest, monitor, self.tally, config, self._stopping, now_ns
        )
        self._outlets = [Outlet(named.sink, named.name, named.is_watched, self._pool, monitor) for named in sinks]
        self._publisher = Publisher(self._outlets, monitor, self.tally, config, now_ns)
        self._network = Network(
            served, self._publisher, self._pool, monitor, self.tally, config, self._stopping, now_ns
        )
        self._watchdog = Watchdog(
            (self._network.lease, self._reader.lease), self._publisher, monitor, self._heartbeat_s, beat, self._stopping
        )
        self._threads: tuple[Outlet | Watchdog | Reader, ...] = (*self._outlets, self._watchdog, self._reader)

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
        # The sinks' last: their bugs end nothing.
        for thread in reversed(self._threads):
            if thread.error is not None:
                raise thread.error
        if hung:
            names = ", ".join(thread.name for thread in hung)
            message = (
                f"{names}: did not end within loop.stop_ms={self._config.stop_ms} and was left behind; raise that, or "
                "look at what it waits for"
            )
            raise SourceError(message) if self._reader in hung else SinkError(message)
        return self.tally.counters()

    def stop(self) -> None:
        """End after the frame under way; from any thread or signal handler."""
        self._stopping.set()

    def _segment_all(self, interpreter: Interpreter) -> None:
        while not (self._stopping.is_set or self._newest.is_exhausted):
            self._network.swap_if_due()
            interpreter.collect_if_due()
            slot = self._newest.take(self._heartbeat_s)
            if slot is not None:
                self._network.segment(slot)

    def _finish(self) -> list[Thread]:
        """End every thread, the sinks' last; gives those that do not."""
        self._stopping.set()
        self._network.end()
        until_s = monotonic() + self._config.stop_ms / 1e3
        # Half of the time at most, so that the sinks end well even where the source hangs.
        _join(self._reader, monotonic() + self._config.stop_ms / 2e3)
        self._newest.close()
        waiting = self._newest.take(0.0)
        if waiting is not None:
            self.tally.num_dropped += 1
            self._pool.give_back(waiting)
        self._publisher.close()
        self._watchdog.close()
        for thread in self._threads:
            _join(thread, until_s)
        hung: list[Thread] = [thread for thread in self._threads if thread.is_alive()]
        leave_behind(*hung)
        return hung


def _join(thread: Thread, until_s: float) -> None:
    # A thread that was never started, because another could not be, has nothing to end.
    with suppress(RuntimeError):
        thread.join(max(0.0, until_s - monotonic()))
