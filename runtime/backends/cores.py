"""The cores this thread may use, and which of them each thread of an engine gets.

ONNX Runtime looks after neither. By default it starts a thread for each core of the machine and ties it to that core,
also where the process was given other cores: a partition made with `taskset` is left, and in a container with a set of
CPUs of its own the threads are too many. Told a number of threads, it ties none, and Linux then wakes a worker that
slept between two frames on the core of the thread that waits for it: 15.6 ms in place of 9.5 for a small network. The
calling thread is no better off: after a pause it may wake on a core that a worker is tied to.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Placement", "place_threads", "tied_to", "usable_cores"]

TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Placement:
    """How many threads compute, the caller's one of them, and the logical processors of it and of each of the others.

    Both are empty where the system may place threads as it likes.
    """

    threads: int
    caller: Sequence[int] = ()
    workers: Sequence[Sequence[int]] = ()

    @property
    def affinities(self) -> str:
        """The workers' processors as ONNX Runtime's `session.intra_op_thread_affinities` wants them: counted from 1."""
        return ";".join(",".join(_ranges(worker)) for worker in self.workers)


def usable_cores(topology: Path = TOPOLOGY) -> list[list[int]]:
    """The physical cores that this thread may use, each with those of its logical processors that it may use.

    Where the system does not tell which processors share a core, each is taken for one.

    Args:
        topology: the folder in which Linux describes its processors.
    """
    cores: dict[str, list[int]] = {}
    for processor in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_core_of(topology, processor), []).append(processor)
    return list(cores.values())


def place_threads(cores: Sequence[Sequence[int]], asked: int | None) -> Placement:
    """Give each thread an equal share of the cores, the calling thread the first.

    Args:
        cores: see `usable_cores`.
        asked: how many threads, the caller's among them; None is one for each core. More than there are cores are
            tied to none.
    """
    threads = asked or len(cores)
    if threads > len(cores):
        return Placement(threads)
    bounds = [len(cores) * number // threads for number in range(threads + 1)]
    shares = [cores[start:end] for start, end in pairwise(bounds)]
    caller, *workers = [sorted(processor for core in share for processor in core) for share in shares]
    return Placement(threads, caller, workers)


@contextmanager
def tied_to(processors: Sequence[int]) -> Iterator[None]:
    """Keep the calling thread on these processors inside the block, and let it go where it might before.

    The thread is the application's: one that may not use all of them, because it was tied elsewhere, is left alone.
    """
    own = os.sched_getaffinity(0)
    if not processors or not own.issuperset(processors):
        yield
        return
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _core_of(topology: Path, processor: int) -> str:
    try:
        return (topology / f"cpu{processor}" / "topology" / "core_cpus_list").read_text().strip()
    except OSError:
        return str(processor)


def _ranges(processors: Sequence[int]) -> list[str]:
    """Neighbours as one range, because the length of an option is limited: 0, 1, 2, 7 become 1-3 and 8."""
    starts = [place for place, one in enumerate(processors) if place == 0 or one != processors[place - 1] + 1]
    runs = [processors[start:end] for start, end in pairwise([*starts, len(processors)])]
    return [f"{run[0] + 1}-{run[-1] + 1}" if len(run) > 1 else str(run[0] + 1) for run in runs]
