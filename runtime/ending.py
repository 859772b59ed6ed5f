"""The end of a process in which a thread did not: it is inside an engine, a driver or a sink that does not come back.

The interpreter would take engines apart under such a thread, and their libraries then abort the process: a stop in good
order would look like a crash.
"""

import os
from threading import Thread

__all__ = ["end_process", "leave_behind"]

_LEFT_BEHIND: list[Thread] = []


def leave_behind(*threads: Thread) -> None:
    """Note threads that nobody waits for any more."""
    _LEFT_BEHIND.extend(threads)


def end_process(status: int) -> None:
    """End the process at once where a thread that was left behind still runs; else return, for the usual end.

    What this process wrote must be flushed: nothing else is done on the way.
    """
    if any(thread.is_alive() for thread in _LEFT_BEHIND):
        os._exit(status)
