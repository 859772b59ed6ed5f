"""`methods`: every row of the tables with every seed on one source network a data set.

Whatever is interrupted goes on where it was, between cells and within them.

Target labels, where a run file names any, are read to fill the tables and by the oracle, and for nothing else: cells
are fixed before the first one runs, and none is stopped, chosen or changed by what another found.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.config import SectionConfig
from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.cells.oracle import why_no_oracle
from benchmarks.methods.cells.results import CellResult, read_results
from benchmarks.methods.cells.workers import Share, Task, run_cells, share_of
from benchmarks.methods.config import MethodsConfig, name_of
from benchmarks.methods.figures.baselines import measure_baselines
from benchmarks.methods.figures.blocks import Study
from benchmarks.methods.page.page import Page
from benchmarks.methods.rows.tables import build_tables
from runtime.command import progress, say
from runtime.config import load_config
from runtime.errors import ConfigError
from runtime.files import claimed, writable_folder
from training.config import TrainingConfig
from training.source import source_frames

__all__ = ["measure_methods"]

Results = dict[Path, CellResult]


def measure_methods(config: SectionConfig, run_file: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Run the cells that are left, all rows of a seed before the next seed, and write tables and picture.

    Writes `methods.json`, `methods.md` and `methods.png` into the output folder, after every seed. What cells find
    lies in the folder `methods` of the output of the run file they vary.

    Args:
        config: the section; its group `methods` says what is run.
        run_file: varied where the group names no run file.
        overrides: those of the section `training`, which all run files take, among others.

    Returns:
        Key figures: how many cells there are, are done and have failed; by data set and table, the mean of every row;
        paths.

    Raises:
        ConfigError: a row changes a key that does not exist; a run file describes another source network.
        CheckpointError: a source network's file cannot be used.
        DataError: a frame, label or earlier result cannot be read.
        IapcError: another process compares on the same output.
    """
    methods = config.methods
    studies = [_study(path, methods, overrides) for path in methods.data or (run_file,)]
    tasks = {seed: [task for study in studies for task in _tasks(study, seed)] for seed in methods.seeds}
    every = [task for of_seed in tasks.values() for task in of_seed]
    with ExitStack() as claims:
        for folder in {study.comparison.folder.resolve() for study in studies}:
            claims.enter_context(_claimed(folder))
        results = read_results(every)
        baselines = [measure_baselines(study.comparison) for study in studies]
        share = share_of([study.comparison for study in studies], methods.workers)
        page = Page(config, studies, baselines, results, len(every), share)
        left = [task for task in every if _path(task) not in results]
        _run(left, share, results, page)
        return page.write(is_last=True)


def _claimed(folder: Path) -> AbstractContextManager[None]:
    """Two comparisons that ran the same cell at the same time would write into one run."""
    writable_folder(folder / "cells")
    return claimed(folder, f"{folder} belongs to another comparison that runs; wait for it, or set training.output")


def _study(path: Path, methods: MethodsConfig, overrides: Sequence[str]) -> Study:
    of_training = [override for override in overrides if override.startswith("training.")]
    config = load_config(path, "training", TrainingConfig, of_training)
    comparison = Comparison.of(name_of(path), config, methods)
    tables = build_tables(methods, comparison.config.adaptation.model_dump())
    why = why_no_oracle(comparison) if any(table.has_baselines for table in tables) else "no table shows one"
    return Study(comparison, tables, why)


def _tasks(study: Study, seed: int) -> list[Task]:
    """Distinct cells of a seed, in the order of the tables; a cell that stands in several rows is in the first."""
    comparison, found = study.comparison, dict[str, Cell]()
    for row in study.rows():
        cell = comparison.cell(row, seed)
        found.setdefault(cell.fingerprint, cell)
    oracle = study.oracle_cell(seed)
    return [(comparison, cell) for cell in (*found.values(), *([] if oracle is None else [oracle]))]


def _run(tasks: Sequence[Task], share: Share, results: Results, page: Page) -> None:
    able = []
    for task in tasks:
        why_not = _why_not(task[1])
        if why_not is None:
            able.append(task)
        else:
            results[_path(task)] = CellResult.of(*task, failed=why_not)
    of_seed = {seed: sum(cell.config.seed == seed for _, cell in able) for seed in page.config.methods.seeds}
    nothing: tuple[Cell, ...] = ()
    bar = progress(nothing, title="methods", unit="cell", total=page.total, initial=len(results))
    with bar, closing(run_cells(able, share)) as ended:
        for task, result in ended:
            results[_path(task)] = result
            bar.update()
            say(f"{task[1].title}: {_told(result)}")
            of_seed[result.seed] -= 1
            if not of_seed[result.seed]:
                page.write()


def _why_not(cell: Cell) -> str | None:
    try:
        source_frames(cell.config)
    except ConfigError as error:
        return str(error)
    return None


def _path(task: Task) -> Path:
    comparison, cell = task
    return comparison.result_path(cell)


def _told(result: CellResult) -> str:
    if result.figures is None:
        return f"failed: {result.failed}"
    figures = result.figures
    found = figures.scores if figures.miou is None else f"{figures.miou} mIoU"
    return f"{found}" if result.cost is None else f"{found} in {result.cost.seconds:.0f} s"
