"""Several cells at a time, each in a process of its own: what ends one ends no other.

A cell is as many processes as cells are run: memory is measured of each alone, and the next one starts clean.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.cells.results import CellResult, read_results
from benchmarks.methods.cells.run_cell import run_cell
from runtime.errors import IapcError
from runtime.files import writable_folder

__all__ = ["Share", "Task", "run_cells", "share_of"]

Task = tuple[Comparison, Cell]
LAST_MOMENTS_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """How many cells run at a time, and the CPU threads of each."""

    workers: int
    threads: int


def share_of(comparisons: Sequence[Comparison], workers: int | None) -> Share:
    """The machine's share of each cell.

    Args:
        comparisons: they say where cells compute.
        workers: as asked for; None takes one for every GPU, or, on a CPU, for every two threads torch would use.
    """
    threads = torch.get_num_threads()
    is_on_gpu = any(comparison.compute.device.type == "cuda" for comparison in comparisons)
    workers = workers or (torch.cuda.device_count() if is_on_gpu else max(1, threads // 2))
    return Share(workers, max(1, threads // workers))


def run_cells(tasks: Sequence[Task], share: Share) -> Generator[tuple[Task, CellResult], None, None]:
    """Run cells in the order given, `share.workers` of them at a time, and give each when it ends.

    A cell whose process ended without a result has failed; its reason is told, and not kept on disk, because running
    it again may help. Closing the iterator ends the processes that run; what they have so far is resumed.
    """
    waiting = deque(tasks)
    running: dict[int, tuple[SpawnProcess, Task]] = {}
    try:
        while waiting or running:
            for slot in range(share.workers):
                if slot not in running and waiting:
                    task = waiting.popleft()
                    running[slot] = (_start(task, slot, share.threads), task)
            ended = connection.wait([process.sentinel for process, _ in running.values()])
            for slot, (process, task) in list(running.items()):
                if process.sentinel in ended:
                    del running[slot]
                    process.join()
                    yield task, _result(task, process)
    finally:
        _end([process for process, _ in running.values()])


def _start(task: Task, slot: int, threads: int) -> SpawnProcess:
    # Before the process is there, which may die before it can: what it leaves behind is never another run's.
    writable_folder(task[1].config.output)
    _log_path(task[1]).write_bytes(b"")
    process = get_context("spawn").Process(target=_work, args=(*task, slot, threads))
    # Ctrl-C reaches every process of a terminal: the first ends the others, which need not say what hit them.
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, kept)
    return process


def _end(processes: Sequence[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(LAST_MOMENTS_S)
        process.kill()
        process.join()


def _result(task: Task, process: SpawnProcess) -> CellResult:
    (result,) = read_results([task]).values() or (None,)
    return result or CellResult.of(*task, failed=_reason(_log_path(task[1]), process.exitcode or 0))


def _reason(log: Path, status: int) -> str:
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}; see {log}"
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].strip() if lines else f'exit status {status}'}; see {log}"


def _log_path(cell: Cell) -> Path:
    return cell.config.output / "log.txt"


def _work(comparison: Comparison, cell: Cell, slot: int, threads: int) -> None:
    """All that the process of a cell does; what it would tell a person goes into a file."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with _log_path(cell).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    torch.set_num_threads(threads)
    if comparison.compute.device.type == "cuda":
        torch.cuda.set_device(slot % torch.cuda.device_count())
    try:
        run_cell(comparison, cell)
    except IapcError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


def _end_with_parent() -> None:
    """A parent that was killed can no longer end this process."""
    parent = parent_process()
    assert parent is not None
    with suppress(OSError):
        connection.wait([parent.sentinel])
    os._exit(1)
