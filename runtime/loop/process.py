"""What the loop's process asks of the system: processors of its own, and to go before others.

Threads get both from the one that starts them: call this before numpy and the engine are loaded, which start threads.
"""

import os

from runtime.errors import ConfigError
from runtime.loop.config import LoopConfig

__all__ = ["prepare_process"]


def prepare_process(config: LoopConfig) -> None:
    """Set affinity and priority of this thread, and of those that it starts from here on.

    Raises:
        ConfigError: a processor is not there, or the priority is not permitted.
    """
    if config.cpus is not None:
        _use_cpus(set(config.cpus))
    if config.priority is not None:
        _use_priority(config.priority)


def _use_cpus(wanted: set[int]) -> None:
    allowed = os.sched_getaffinity(0)
    # The kernel drops processors it does not have without a word.
    if not wanted or not wanted <= allowed:
        raise ConfigError(
            f"runtime.loop.cpus is {sorted(wanted)}, and this process may use {sorted(allowed)}; choose among these, "
            "or leave it null"
        )
    os.sched_setaffinity(0, wanted)


def _use_priority(priority: int) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError as error:
        raise ConfigError(
            f"runtime.loop.priority={priority} is not permitted to this process; give it CAP_SYS_NICE or a limit "
            f"RLIMIT_RTPRIO of {priority} or more (systemd: LimitRTPRIO={priority}), or leave it null"
        ) from error
