"""The thread that reads frames: opens the source, opens it again when it is lost, and leaves the newest frame."""

from collections.abc import Callable
from threading import Thread

from runtime.errors import FrameError, SourceError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.backoff import Backoff
from runtime.loop.config import LoopConfig
from runtime.loop.mailbox import Mailbox
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.stop_flag import StopFlag
from runtime.loop.tally import Tally
from runtime.loop.watchdog import Lease
from runtime.outputs import is_same
from runtime.result import NOTHING, Captured
from runtime.sources.source import Source
from runtime.units import MILLISECOND_NS

__all__ = ["Reader"]

# Clocks of two devices may differ by this much, a frame may not be further ahead.
FUTURE_NS = 10 * MILLISECOND_NS
# Frames in a row with an impossible time after which the source is opened again, for it to find the clock anew.
MAX_JUMPED = 10
# A source that refuses without waiting must not take the processor from the network.
REFUSED_S = 0.001
MONOTONIC = "its times must be of the monotonic clock of this machine"


class Reader(Thread):
    """Reads until the source is finished or `stopping` is set; an unexpected error is kept in `error`.

    Args:
        open_source: opens the source, again whenever it was lost.
        pool: where frames are written.
        newest: where they go.
        monitor: hears of everything that is wrong with them.
        tally: counts them.
        config: waits between attempts.
        stopping: asks the thread to end.
        now_ns: the monotonic clock.

    Attributes:
        lease: how long a call of the source may take.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        pool: SlotPool,
        newest: Mailbox[Slot],
        monitor: Monitor,
        tally: Tally,
        config: LoopConfig,
        stopping: StopFlag,
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self._open_source, self._pool, self._newest = open_source, pool, newest
        self._monitor, self._tally, self._stopping, self._now_ns = monitor, tally, stopping, now_ns
        self._timeout_s = config.heartbeat_ms / 1e3
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s)
        self._last_id, self._last_ns = NOTHING.frame_id, NOTHING.captured_ns
        self._last: Slot | None = None
        self._num_jumped = self._num_repeated = 0
        self.lease = Lease(now_ns)
        self.error: BaseException | None = None

    def run(self) -> None:
        """Read; see the class."""
        try:
            while not self._is_read():
                self.lease.end()
                if self._stopping.wait(self._backoff.next_s()):
                    break
        except BaseException as error:  # the loop's own thread raises it
            self.error = error
        finally:
            self.lease.end()
            self._keep(None)
            self._newest.close()

    def _is_read(self) -> bool:
        """Read one source until it is finished or the loop stops, which is True, or lost."""
        try:
            self._renew("opening the source")
            source = self._open_source()
            self._last_id, self._num_jumped = NOTHING.frame_id, 0
            try:
                while not self._stopping.is_set and not source.is_finished:
                    self._renew("reading a frame")
                    self._read_frame(source)
            finally:
                self._renew("closing the source")
                source.close()
        except SourceError as error:
            self._monitor.set(Reason.SOURCE_LOST, str(error))
            return False
        return True

    def _renew(self, what: str) -> None:
        self.lease.renew(what, self._monitor.config.source_stall_ms)

    def _read_frame(self, source: Source) -> None:
        slot = self._pool.take()
        try:
            captured = source.read(slot.frame, self._timeout_s)
            slot.read_ns = self._now_ns()
            if captured is not None:
                self._require_newer(captured, slot.read_ns)
                slot.captured = captured
                self._watch_pixels(slot)
                self._pool.share(slot)
                self._leave(slot)
        except FrameError as error:
            self._tally.num_refused += 1
            self._monitor.note(Reason.FRAMES_REFUSED, str(error))
            self._stopping.wait(REFUSED_S)
        except _ClockError as error:
            self._tally.num_refused += 1
            self._monitor.note(Reason.CLOCK_JUMPED, str(error))
            self._num_jumped += 1
            if self._num_jumped >= MAX_JUMPED:
                raise SourceError(f"its clock jumped: {error}") from error
        finally:
            self._pool.give_back(slot)

    def _require_newer(self, captured: Captured, now_ns: int) -> None:
        """Refuse a frame that came before, is older than one that was taken, or comes from the future.

        Raises:
            FrameError: it came before.
            _ClockError: its time cannot be.
        """
        last_id, self._last_id = self._last_id, captured.frame_id
        if captured.frame_id == last_id:
            raise FrameError(f"frame number {captured.frame_id} came twice; the source must count up")
        if last_id != NOTHING.frame_id:
            self._tally.num_lost += max(0, captured.frame_id - last_id - 1)
        since_ns, ahead_ns = self._last_ns - captured.captured_ns, captured.captured_ns - now_ns
        if since_ns >= 0:
            raise _ClockError(f"frame {captured.name} was captured {_ms(since_ns)} before the last one; {MONOTONIC}")
        if ahead_ns > FUTURE_NS:
            raise _ClockError(f"frame {captured.name} was captured {_ms(ahead_ns)} from now; {MONOTONIC}")
        self._last_ns, self._num_jumped = captured.captured_ns, 0

    def _watch_pixels(self, slot: Slot) -> None:
        is_repeated = self._last is not None and is_same(slot.frame, self._last.frame)
        self._num_repeated = self._num_repeated + 1 if is_repeated else 0
        self._pool.share(slot)
        self._keep(slot)
        limit = self._monitor.config.max_repeated_frames
        if self._num_repeated >= limit:
            self._monitor.set(Reason.FRAMES_REPEAT, f"the last {limit} frames or more have the very same pixels")
        else:
            self._monitor.clear(Reason.FRAMES_REPEAT)

    def _keep(self, slot: Slot | None) -> None:
        if self._last is not None:
            self._pool.give_back(self._last)
        self._last = slot

    def _leave(self, slot: Slot) -> None:
        self._backoff.reset()
        self._monitor.clear(Reason.SOURCE_LOST)
        self._monitor.frame_captured()
        self._tally.num_captured += 1
        overtaken = self._newest.put(slot)
        if overtaken is not None:
            self._tally.num_dropped += 1
            self._monitor.frame_dropped()
            self._pool.give_back(overtaken)


class _ClockError(Exception):
    """A frame's time cannot be."""


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / MILLISECOND_NS:.1f} ms"
