"""A frame through the network: segmented, checked, published; and the engine opened again when it fails."""

from collections.abc import Callable

import numpy as np

from runtime.errors import BackendError, NotFiniteError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.backoff import Backoff
from runtime.loop.config import LoopConfig
from runtime.loop.output_check import OutputCheck
from runtime.loop.publisher import Publisher
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.stop_flag import StopFlag
from runtime.loop.tally import Tally
from runtime.loop.watchdog import Lease
from runtime.swap.served import Served

__all__ = ["Network"]


class Network:
    """What the loop does with the engine; for one thread.

    Args:
        served: the bundle in service.
        publisher: gets what can be trusted.
        pool: where a frame's memory goes back to.
        monitor: hears of what cannot be trusted, and of every failure.
        tally: counts both.
        config: waits between attempts to open the engine.
        stopping: ends them.
        now_ns: the monotonic clock.

    Attributes:
        lease: how long a frame, or opening the engine, may take.
    """

    def __init__(
        self,
        served: Served,
        publisher: Publisher,
        pool: SlotPool,
        monitor: Monitor,
        tally: Tally,
        config: LoopConfig,
        stopping: StopFlag,
        now_ns: Callable[[], int],
    ) -> None:
        self._served, self._publisher, self._pool = served, publisher, pool
        self._monitor, self._tally, self._stopping, self._now_ns = monitor, tally, stopping, now_ns
        self._max_restarts = config.max_restarts
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s)
        self._check = OutputCheck(pool, len(served.manifest.classes), monitor.config.max_repeated_outputs)
        self._num_withheld_in_a_row = 0
        self.lease = Lease(now_ns)

    def swap_if_due(self) -> None:
        """Between two frames: let another bundle take the place of this one."""
        self.lease.renew("changing the bundle", self._monitor.config.stall_ms)
        self._served.swap_if_due(self._monitor.health())
        self._publisher.bundle_id = self._served.bundle_id
        self._tally.num_swaps = self._served.num_swaps
        self.lease.end()

    def segment(self, slot: Slot) -> None:
        """Segment a frame, publish the result if it can be trusted, and give back the caller's share in the slot.

        Raises:
            BackendError: the engine failed again and again.
        """
        slot.taken_ns = self._now_ns()
        self.lease.renew("one frame in the engine", self._monitor.config.stall_ms)
        failure: BackendError | None = None
        is_published = False
        try:
            is_published = self._is_published(slot)
        except NotFiniteError as error:
            self._monitor.note(Reason.OUTPUT_NOT_FINITE, str(error))
        except BackendError as error:
            failure = error
        finally:
            self._tally.num_withheld += not is_published
            self._pool.give_back(slot)
        self._num_withheld_in_a_row = 0 if is_published else self._num_withheld_in_a_row + 1
        if self._num_withheld_in_a_row >= self._monitor.config.max_withheld:
            failure = failure or BackendError(
                f"the last {self._num_withheld_in_a_row} outputs could not be used; export the bundle again, or choose "
                "another backend.provider"
            )
        if failure is not None:
            self._num_withheld_in_a_row = 0
            self._restart(failure)
        self.lease.end()

    def end(self) -> None:
        """Nothing will be segmented any more; gives back the last slot."""
        self._check.forget()
        self.lease.end()

    def _is_published(self, slot: Slot) -> bool:
        segmentation = self._served.segment(slot.frame)
        slot.inferred_ns = self._now_ns()
        np.copyto(slot.labels, segmentation.labels)
        np.copyto(slot.confidence, segmentation.confidence)
        slot.kept_ns = self._now_ns()
        slot.bundle_id = self._served.bundle_id
        problem = self._check.problem(slot)
        if problem is not None:
            self._monitor.note(*problem)
            return False
        self._backoff.reset()
        self._monitor.clear(Reason.ENGINE_FAILED)
        self._publisher.publish(slot)
        return True

    def _restart(self, error: BackendError) -> None:
        """Open the engine again, after a wait that grows; gives up after `max_restarts` failures in a row."""
        while True:
            self._monitor.set(Reason.ENGINE_FAILED, str(error))
            if self._backoff.num_waits >= self._max_restarts:
                raise error
            self.lease.end()
            if self._stopping.wait(self._backoff.next_s()):
                return
            self.lease.renew("opening the engine again", self._monitor.config.restart_stall_ms)
            self._tally.num_restarts += 1
            try:
                self._served.restart()
            except BackendError as again:
                error = again
            else:
                return
