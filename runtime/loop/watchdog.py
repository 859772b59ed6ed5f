"""The thread that speaks when the others cannot: tells the health at every heartbeat, and finds whoever is stuck."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.loop.publisher import Publisher
from runtime.loop.stop_flag import StopFlag
from runtime.units import MILLISECOND_NS

__all__ = ["Lease", "Watchdog"]


class Lease:
    """A thread's promise to be heard of again in time; kept by one thread, read by another.

    Args:
        now_ns: the monotonic clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._promise: tuple[str, int, int] | None = None

    def renew(self, what: str, limit_ms: int) -> None:
        """The thread begins something that takes `limit_ms` at most."""
        self._promise = (what, limit_ms, self._now_ns())

    def end(self) -> None:
        """The thread waits for others, or ended."""
        self._promise = None

    def broken(self) -> str | None:
        """What takes too long; None where nothing does."""
        promise = self._promise
        if promise is None:
            return None
        what, limit_ms, since_ns = promise
        is_broken = self._now_ns() - since_ns > limit_ms * MILLISECOND_NS
        return f"{what} takes more than {limit_ms} ms" if is_broken else None


class Watchdog(Thread):
    """Looks at every heartbeat until closed; an unexpected error is kept in `error`, and stops the loop.

    Args:
        leases: of the threads it watches.
        publisher: tells the health.
        monitor: hears who is stuck.
        heartbeat_s: time between two looks.
        beat: called at each look at which nobody is stuck, for a watchdog in another process.
        stopping: set when this thread fails.
    """

    def __init__(
        self,
        leases: Sequence[Lease],
        publisher: Publisher,
        monitor: Monitor,
        heartbeat_s: float,
        beat: Callable[[], None],
        stopping: StopFlag,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._leases, self._publisher, self._monitor = leases, publisher, monitor
        self._heartbeat_s, self._beat, self._stopping = heartbeat_s, beat, stopping
        self._is_closed = Event()
        self.error: BaseException | None = None

    def close(self) -> None:
        """End; what the sinks hear last is not this thread's."""
        self._is_closed.set()

    def run(self) -> None:
        """Look; see the class."""
        try:
            while not self._is_closed.wait(self._heartbeat_s):
                self._look()
        except BaseException as error:  # the loop's own thread raises it
            self.error = error
            self._stopping.set()

    def _look(self) -> None:
        stuck = next(filter(None, (lease.broken() for lease in self._leases)), None)
        if stuck is None:
            self._monitor.clear(Reason.STALLED)
        else:
            self._monitor.set(Reason.STALLED, stuck)
        self._publisher.pulse()
        if stuck is None:
            self._beat()
