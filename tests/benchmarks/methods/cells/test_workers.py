"""Cells in processes of their own: what ends one is told, ends no other, and leaves nothing running."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.cells.run_cell import run_cell
from benchmarks.methods.cells.workers import Share, run_cells, share_of
from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.rows.row import ALL
from runtime.config import load_config
from training.config import TrainingConfig

MakeRun = Callable[..., str]


def comparison_in(folder: Path, make_run: MakeRun) -> Comparison:
    folder.mkdir(exist_ok=True)
    config = load_config(Path(make_run(folder)), "training", TrainingConfig)
    found = Comparison.of("run", config, MethodsConfig())
    (found.folder / "cells").mkdir(parents=True)
    return found


def kill_one() -> None:
    while not active_children():
        time.sleep(0.01)
    active_children()[0].kill()


def test_killed_process_is_a_failed_cell_and_closing_ends_the_others(make_run: MakeRun, tmp_path: Path) -> None:
    comparison = comparison_in(tmp_path, make_run)
    tasks = [(comparison, comparison.cell(ALL, seed)) for seed in (0, 1, 2)]
    killer = threading.Thread(target=kill_one)
    killer.start()
    with closing(run_cells(tasks, Share(workers=2, threads=1))) as ended:
        (_, cell), result = next(ended)
        killer.join()
        assert "its process was ended by SIGKILL" in (result.failed or "")
        assert cell in (tasks[0][1], tasks[1][1])
        assert len(active_children()) >= 1
    assert active_children() == []
    assert list((comparison.folder / "cells").iterdir()) == []


def test_cell_finds_what_it_finds_here_and_tells_what_it_cost(make_run: MakeRun, tmp_path: Path) -> None:
    here, there = (comparison_in(tmp_path / name, make_run) for name in ("here", "there"))
    ((_, result),) = run_cells([(there, there.cell(ALL, 0))], Share(workers=1, threads=1))
    assert result.figures == run_cell(here, here.cell(ALL, 0)).figures
    cost = result.cost
    assert cost is not None
    assert (cost.device, cost.threads, cost.seconds > 0, cost.step_seconds > 0) == ("cpu", 1, True, True)
    # Torch alone takes more than 100 MiB.
    assert cost.peak_mib > 100
    assert "share of target statistics" in (there.cell(ALL, 0).config.output / "log.txt").read_text()


def test_error_of_a_process_is_its_cells_reason_and_is_not_kept(make_run: MakeRun, tmp_path: Path) -> None:
    comparison = comparison_in(tmp_path, make_run)
    cell = comparison.cell(ALL, 0)
    missing = cell.config.source.model_copy(update={"path": tmp_path / "gone.safetensors"})
    cell = replace(cell, config=cell.config.model_copy(update={"source": missing}))
    ((_, result),) = run_cells([(comparison, cell)], Share(workers=2, threads=1))
    assert "gone.safetensors" in (result.failed or "")
    assert f"see {cell.config.output / 'log.txt'}" in (result.failed or "")
    assert not comparison.result_path(cell).exists()


def test_workers_share_the_threads_there_are(comparison: Comparison) -> None:
    # The tests have one thread.
    assert share_of([comparison], None) == Share(workers=1, threads=1)
    assert share_of([comparison], 3) == Share(workers=3, threads=1)
