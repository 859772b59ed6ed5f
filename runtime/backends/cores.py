"""The cores this process may use, and which of them each thread of an engine gets.

ONNX Runtime looks after neither. By default it starts a thread for each core of the machine and ties it to that core,
also where the process was given other cores: a partition made with `taskset` is left, and in a container with a set of
CPUs of its own the threads are too many. Told a number of threads, it ties none, and Linux wakes those that slept
between two frames on the core of the thread that woke them: half of the time of a camera's frame is lost.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Placement", "place_threads", "usable_cores"]

TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Placement:
    """How many threads compute, the caller's one of them, and the logical processors of each of the others.

    `workers` is empty where the system may place them as it likes.
    """

    threads: int
    workers: Sequence[Sequence[int]] = ()

    @property
    def affinities(self) -> str:
        """The workers' processors as ONNX Runtime's `session.intra_op_thread_affinities` wants them: counted from 1."""
        return ";".join(",".join(str(processor + 1) for processor in worker) for worker in self.workers)


def usable_cores(topology: Path = TOPOLOGY) -> list[list[int]]:
    """The physical cores that this process may use, each with those of its logical processors that it may use.

    Where the system does not tell which processors share a core, each is taken for one.

    Args:
        topology: the folder in which Linux describes its processors.
    """
    cores: dict[str, list[int]] = {}
    for processor in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_core_of(topology, processor), []).append(processor)
    return list(cores.values())


def place_threads(cores: Sequence[Sequence[int]], asked: int | None) -> Placement:
    """Give each thread an equal share of the cores.

    The calling thread, which is the application's own, is tied to nothing: with every worker kept out of the first
    share, the system finds room for it there.

    Args:
        cores: see `usable_cores`.
        asked: how many threads, the caller's among them; None is one for each core. More than there are cores are
            tied to none.
    """
    threads = asked or len(cores)
    if threads > len(cores):
        return Placement(threads)
    bounds = [len(cores) * number // threads for number in range(1, threads + 1)]
    shares = [cores[start:end] for start, end in pairwise(bounds)]
    return Placement(threads, [[processor for core in share for processor in core] for share in shares])


def _core_of(topology: Path, processor: int) -> str:
    try:
        return (topology / f"cpu{processor}" / "topology" / "core_cpus_list").read_text().strip()
    except OSError:
        return str(processor)
