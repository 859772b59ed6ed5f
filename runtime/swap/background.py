"""Work that gives way to everything else: opening a bundle takes all processors for seconds.

A thread's priority is inherited by the threads it starts, among them those of an engine, which would keep it for as
long as they serve. So it is lowered only where it can be raised again.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, get_native_id

__all__ = ["background", "can_give_way"]

# A tenth of the processor where everybody wants it: at the least priority a busy system would never finish the work,
# and the loop would wait where this thread was stopped while it held the interpreter.
NICENESS = 10


@dataclass(frozen=True, slots=True)
class _Priority:
    policy: int
    real_time: int
    niceness: int


@contextmanager
def background() -> Iterator[None]:
    """Run the block at low priority; this thread and those started in it get back the one from before.

    Where the system does not let a thread raise its priority again (Linux: neither CAP_SYS_NICE nor a limit RLIMIT_NICE
    of 20 and, for a loop with `priority`, RLIMIT_RTPRIO), the block runs at that of its caller.
    """
    if not can_give_way():
        yield
        return
    own = get_native_id()
    before, others = _priority(own), _threads()
    _set_priority(own, _LOWERED)
    try:
        yield
    finally:
        for thread in (_threads() - others) | {own}:
            # Others may have ended since they were listed; what another part of the program set is left alone.
            with suppress(ProcessLookupError):
                if _priority(thread) == _LOWERED:
                    _set_priority(thread, before)


def can_give_way() -> bool:
    """Whether a thread may lower its priority and raise it again; tried on one that ends at once."""
    if sys.platform != "linux":
        return False
    is_permitted = False

    def attempt() -> None:
        nonlocal is_permitted
        own = get_native_id()
        before = _priority(own)
        with suppress(PermissionError):
            _set_priority(own, _LOWERED)
            _set_priority(own, before)
            is_permitted = True

    thread = Thread(target=attempt, name="priority")
    thread.start()
    thread.join()
    return is_permitted


def _threads() -> set[int]:
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


if sys.platform == "linux":
    _LOWERED = _Priority(os.SCHED_OTHER, 0, NICENESS)

    def _priority(thread: int) -> _Priority:
        policy = os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK
        real_time = os.sched_getparam(thread).sched_priority
        return _Priority(policy, real_time, os.getpriority(os.PRIO_PROCESS, thread))

    def _set_priority(thread: int, priority: _Priority) -> None:
        os.setpriority(os.PRIO_PROCESS, thread, priority.niceness)
        os.sched_setscheduler(thread, priority.policy, os.sched_param(priority.real_time))
