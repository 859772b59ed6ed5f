"""SIGTERM and SIGINT as a wish, instead of something that interrupts anywhere."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["on_stop_signals"]


@contextmanager
def on_stop_signals(act: Callable[[], object]) -> Iterator[None]:
    """Inside the block SIGTERM and SIGINT call `act`; after a first SIGINT, a second one interrupts as usual.

    For the main thread, which alone may set handlers, and is the one they interrupt between any two steps.

    Args:
        act: takes no lock that the main thread may hold.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        act()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
