"""The loop of a vehicle: the newest frame, its labels, their health, without end.

reader      source -> newest frame          a thread; opens the source again when it is lost
run         newest frame -> network         the caller's thread; opens the engine again when it fails
publisher   labels -> checked, published    a thread; speaks also when the other two cannot
outlets     results -> sinks                a thread for each
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from time import monotonic_ns

import numpy as np

from runtime.errors import BackendError, NotFiniteError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.backoff import Backoff
from runtime.loop.config import LoopConfig
from runtime.loop.mailbox import Mailbox
from runtime.loop.outlet import Outlet
from runtime.loop.output_check import OutputCheck
from runtime.loop.publisher import Publisher
from runtime.loop.reader import Reader
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.tally import Tally
from runtime.result import Counters
from runtime.segmenter import Segmentation
from runtime.sinks.sink import Sink
from runtime.sources.source import Source
from runtime.swap.served import Served

__all__ = ["Loop", "NamedSink"]

# One being read, one waiting, one in the network, two with the publisher; a sink holds one and has one waiting.
OWN_SLOTS, SINK_SLOTS = 5, 2
# How often the collector looks for cycles, while nothing else waits; the loop itself makes none.
COLLECT_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink, what messages call it, and whether results it misses count against the health."""

    name: str
    sink: Sink
    is_watched: bool = True


class Loop:
    """Segments the newest frame of a source until it is finished or `stop` is called.

    Args:
        served: the network; closed by whoever opened it.
        open_source: opens the source, again whenever it was lost.
        sinks: who gets the results; the loop closes them.
        monitor: the health.
        config: times.
        now_ns: the monotonic clock.
        beat: called at every heartbeat while the loop is alive, for a watchdog in another process.

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
        frame_hw = (manifest.frame_height, manifest.frame_width)
        self.tally = Tally()
        self._served, self._monitor, self._config, self._now_ns = served, monitor, config, now_ns
        self._stopping = Event()
        self._pool = SlotPool(OWN_SLOTS + SINK_SLOTS * len(sinks), frame_hw)
        self._newest: Mailbox[Slot] = Mailbox()
        self._reader = Reader(
            open_source, self._pool, self._newest, monitor, self.tally, config, self._stopping, now_ns
        )
        self._outlets = [Outlet(named.sink, named.name, named.is_watched, self._pool, monitor) for named in sinks]
        check = OutputCheck(len(manifest.classes), frame_hw, monitor.config.max_repeated_outputs)
        self._publisher = Publisher(self._outlets, check, self._pool, monitor, self.tally, config, now_ns, beat)
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s, self._stopping)
        self._collected_ns = now_ns()

    def run(self) -> Counters:
        """Segment frames on this thread; returns what was counted, after every sink was closed.

        Raises:
            BackendError: the engine failed again and again; a new process may help.
            IapcError: the source or a sink cannot be used at all.
        """
        threads: list[Publisher | Outlet | Reader] = [self._publisher, *self._outlets, self._reader]
        for thread in threads:
            thread.start()
        try:
            self._segment_all()
        finally:
            self._stopping.set()
            self._reader.join()
            self._publisher.close()
            for thread in threads:
                thread.join()
        for thread in threads:
            if thread.error is not None:
                raise thread.error
        return self.tally.counters()

    def stop(self) -> None:
        """End after the frame under way; from any thread or signal handler."""
        self._stopping.set()

    def _segment_all(self) -> None:
        wait_s = self._config.heartbeat_ms / 1e3
        with _collector(is_on=self._config.is_collecting):
            while not self._newest.is_exhausted:
                if self._stopping.is_set():
                    return
                self._served.settle(self._monitor.health())
                self._publisher.bundle_id = self._served.bundle_id
                self._collect()
                slot = self._newest.take(wait_s)
                if slot is not None:
                    self._segment(slot)

    def _segment(self, slot: Slot) -> None:
        slot.taken_ns = self._now_ns()
        try:
            segmentation = self._infer(slot)
        except NotFiniteError as error:
            self._withhold(slot)
            self._monitor.note(Reason.OUTPUT_NOT_FINITE, str(error))
        except BackendError as error:
            self._withhold(slot)
            self._monitor.set(Reason.ENGINE_FAILED, str(error))
            self._restart(error)
        else:
            slot.inferred_ns = self._now_ns()
            np.copyto(slot.labels, segmentation.labels)
            np.copyto(slot.confidence, segmentation.confidence)
            slot.bundle_id = self._served.bundle_id
            self._publisher.put(slot)
            self._backoff.reset()
            self._monitor.clear(Reason.ENGINE_FAILED)

    def _infer(self, slot: Slot) -> Segmentation:
        self._publisher.engine_since_ns = slot.taken_ns
        try:
            return self._served.segment(slot.frame)
        finally:
            self._publisher.engine_since_ns = None

    def _withhold(self, slot: Slot) -> None:
        self._pool.give_back(slot)
        self.tally.num_withheld += 1

    def _restart(self, error: BackendError) -> None:
        """Open the engine again, after a wait that grows; gives up after `max_restarts` failures in a row."""
        while not self._stopping.is_set():
            if self._backoff.num_waits >= self._config.max_restarts:
                raise error
            self._backoff.wait()
            self.tally.num_restarts += 1
            try:
                self._served.restart()
            except BackendError as again:
                error = again
                self._monitor.set(Reason.ENGINE_FAILED, str(again))
            else:
                return

    def _collect(self) -> None:
        now_ns = self._now_ns()
        if not self._config.is_collecting and now_ns - self._collected_ns > COLLECT_NS:
            self._collected_ns = now_ns
            gc.collect(0)


@contextmanager
def _collector(*, is_on: bool) -> Iterator[None]:
    """Freeze what lives already and, unless it is on, keep the cyclic collector from running in mid-frame."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    if not is_on:
        gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
