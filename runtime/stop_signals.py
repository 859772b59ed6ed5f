"""SIGTERM and SIGINT as something to wait for, instead of something that interrupts anywhere."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType, TracebackType
from typing import Self

__all__ = ["StopSignals", "calling_on_stop"]


class StopSignals:
    """Inside the `with` block the first SIGTERM or SIGINT asks to stop; a second SIGINT interrupts as usual.

    For the main thread, which alone may set handlers.

    Attributes:
        pipe: readable from the first signal on.
    """

    def __init__(self) -> None:
        self.pipe, self._far_end = os.pipe()

    @property
    def is_requested(self) -> bool:
        """Whether a signal came."""
        return self.wait(0.0)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a signal, without end where the time is None; whether one came."""
        return bool(select.select([self.pipe], [], [], timeout_s)[0])

    def wake(self) -> None:
        """Make it look as if a signal came, for a thread that waits for one."""
        os.write(self._far_end, b"\0")

    def __enter__(self) -> Self:
        """Take the signals."""
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.pipe)
        os.close(self._far_end)

    # A handler runs between any two steps of the main thread, which may hold any lock: it takes none.
    def _note(self, number: int, frame: FrameType | None) -> None:
        os.write(self._far_end, b"\0")
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def calling_on_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Inside the block, a first SIGTERM or SIGINT calls `stop` on a thread of its own."""

    def watch() -> None:
        signals.wait(timeout_s=None)
        stop()

    with StopSignals() as signals:
        watcher = Thread(target=watch, name="stop signals", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signals.wake()
            watcher.join()
