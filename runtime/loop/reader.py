"""The thread that reads frames: opens the source, opens it again when it is lost, and leaves the newest frame."""

from collections.abc import Callable
from threading import Event, Thread

import numpy as np

from runtime.errors import FrameError, SourceError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.backoff import Backoff
from runtime.loop.config import LoopConfig
from runtime.loop.mailbox import Mailbox
from runtime.loop.slots import Slot, SlotPool
from runtime.loop.tally import Tally
from runtime.result import Captured
from runtime.sources.source import Source

__all__ = ["Reader"]

# Every how many bytes two frames are compared: 3 * 37 keeps the channels in turn.
SAMPLE_STEP = 37
# Clocks of two devices may differ by this much, a frame may not be further ahead.
FUTURE_NS = 10_000_000


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
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        pool: SlotPool,
        newest: Mailbox[Slot],
        monitor: Monitor,
        tally: Tally,
        config: LoopConfig,
        stopping: Event,
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self._open_source, self._pool, self._newest = open_source, pool, newest
        self._monitor, self._tally, self._stopping, self._now_ns = monitor, tally, stopping, now_ns
        self._timeout_s = config.heartbeat_ms / 1e3
        self._backoff = Backoff(config.backoff_s, config.max_backoff_s, stopping)
        self._last = Captured(-1, -1, "")
        self._last_sample: np.ndarray | None = None
        self._num_repeated = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Read; see the class."""
        try:
            while not self._stopping.is_set() and not self._read_source():
                self._backoff.wait()
        except BaseException as error:  # told by the loop's own thread, which raises it
            self.error = error
        finally:
            self._newest.close()

    def _read_source(self) -> bool:
        """Read one source until it is finished, which is True, or lost."""
        try:
            source = self._open_source()
        except SourceError as error:
            self._monitor.set(Reason.SOURCE_LOST, str(error))
            return False
        try:
            while not self._stopping.is_set() and not source.is_finished:
                self._read_frame(source)
        except SourceError as error:
            self._monitor.set(Reason.SOURCE_LOST, str(error))
            return False
        finally:
            source.close()
        return True

    def _read_frame(self, source: Source) -> None:
        slot = self._pool.take(self._timeout_s)
        if slot is None:
            return
        is_kept = False
        try:
            captured = source.read(slot.frame, self._timeout_s)
            if captured is not None and self._accept(captured, slot):
                is_kept = True
                self._leave(slot)
        except FrameError as error:
            self._refuse(Reason.FRAMES_REFUSED, str(error))
        finally:
            if not is_kept:
                self._pool.give_back(slot)

    def _accept(self, captured: Captured, slot: Slot) -> bool:
        """Whether the frame is newer than the last one and not from the future."""
        slot.captured, slot.read_ns = captured, self._now_ns()
        last, self._last = self._last, captured
        if captured.captured_ns <= last.captured_ns:
            since_ms = (last.captured_ns - captured.captured_ns) / 1e6
            return self._refuse(
                Reason.CLOCK_JUMPED, f"frame {captured.name} was captured {since_ms:.1f} ms before the last one"
            )
        if captured.captured_ns > slot.read_ns + FUTURE_NS:
            ahead_ms = (captured.captured_ns - slot.read_ns) / 1e6
            return self._refuse(Reason.CLOCK_JUMPED, f"frame {captured.name} was captured {ahead_ms:.1f} ms from now")
        if captured.frame_id == last.frame_id:
            return self._refuse(Reason.FRAMES_REPEAT, f"frame number {captured.frame_id} came twice")
        if last.frame_id >= 0:
            self._tally.num_lost += max(0, captured.frame_id - last.frame_id - 1)
        self._watch_pixels(slot)
        return True

    def _watch_pixels(self, slot: Slot) -> None:
        sample = slot.frame.reshape(-1)[::SAMPLE_STEP]
        if self._last_sample is None:
            self._last_sample = np.empty_like(sample)
            is_same = False
        else:
            is_same = np.array_equal(sample, self._last_sample)
        self._num_repeated = self._num_repeated + 1 if is_same else 0
        if not is_same:
            np.copyto(self._last_sample, sample)
        limit = self._monitor.config.max_repeated_frames
        if self._num_repeated >= limit:
            self._monitor.set(Reason.FRAMES_REPEAT, f"the last {limit} frames or more have the very same pixels")
        elif not is_same:
            self._monitor.clear(Reason.FRAMES_REPEAT)

    def _refuse(self, reason: Reason, detail: str) -> bool:
        self._tally.num_refused += 1
        self._monitor.note(reason, detail)
        return False

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
