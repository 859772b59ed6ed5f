"""`methods`: every row of the tables with every seed on one source network, resumable between cells and within them.

Target labels, where the run file names any, are read to fill the tables and for nothing else: cells are fixed before
the first one runs, and none is stopped, chosen or changed by what another found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.methods.baselines import measure_baselines
from benchmarks.methods.cells import Cell, CellResult, Comparison, Figures, read_results, run_cell
from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.markdown import markdown
from benchmarks.methods.picture import write_picture
from benchmarks.methods.summary import RowFigures, baseline_figures, measures, row_figures
from benchmarks.methods.tables import ALL, Row, Table, build_tables
from runtime.command import inner_progress, progress, say
from runtime.files import writable_folder, write_json, write_text
from training.config import TrainingConfig

__all__ = ["measure_methods"]

NOTE = (
    "Target labels are read to fill these tables and for nothing else: the cells are fixed before the first one runs, "
    "every figure is of a run's last step, and nothing is stopped, chosen or changed by a label."
)


def measure_methods(methods: MethodsConfig, config: TrainingConfig) -> dict[str, Any]:
    """Run the cells that are left, all rows of a seed before the next seed, and write tables and picture.

    Writes `methods.json`, `methods.md` and `methods.png` below `<output>/methods`, after every seed.

    Returns:
        Key figures: how many cells there are, are done and have failed; the mean of every row of every table; paths.

    Raises:
        ConfigError: a row changes a key that does not exist; the config describes another source network.
        CheckpointError: the source network's file cannot be used.
        DataError: a frame, label or earlier result cannot be read.
    """
    comparison = Comparison.of(config, methods)
    tables = build_tables(methods, comparison.config.adaptation.model_dump())
    grid = {seed: _cells(comparison, tables, seed) for seed in methods.seeds}
    writable_folder(comparison.folder / "cells")
    results = read_results(comparison, [cell for cells in grid.values() for cell in cells])
    baseline = measure_baselines(comparison)
    total, done = sum(len(cells) for cells in grid.values()), len(results)
    nothing: tuple[Cell, ...] = ()
    with progress(nothing, title="methods", unit="cell", total=total, initial=done) as bar:
        for cells in grid.values():
            left = [cell for cell in cells if cell.fingerprint not in results]
            for cell in left:
                with inner_progress():
                    result = results[cell.fingerprint] = run_cell(comparison, cell)
                bar.update()
                say(f"{cell.title}: {_told(result)}")
            if left:
                _write(comparison, tables, baseline, results, total)
    return _write(comparison, tables, baseline, results, total)


def _cells(comparison: Comparison, tables: Sequence[Table], seed: int) -> list[Cell]:
    """Distinct cells of a seed, in the order of the tables; a cell that stands in several rows is in the first."""
    found: dict[str, Cell] = {}
    for row in (row for table in tables for row in (*table.rows, ALL)):
        cell = comparison.cell(row, seed)
        found.setdefault(cell.fingerprint, cell)
    return list(found.values())


def _told(result: CellResult) -> str:
    if result.figures is None:
        return f"failed: {result.failed}"
    found = result.figures.scores if result.figures.miou is None else f"{result.figures.miou:.2f} mIoU"
    return f"{found} in {result.seconds:.0f} s"


def _write(
    comparison: Comparison,
    tables: Sequence[Table],
    baseline: Mapping[str, Figures],
    results: Mapping[str, CellResult],
    total: int,
) -> dict[str, Any]:
    config, folder = comparison.config, comparison.folder
    shown = measures(has_labels=config.target.test is not None)
    figures = {table.name: _rows(comparison, table, baseline, results, shown) for table in tables}
    failed = sum(result.failed is not None for result in results.values())
    counts = {"cells": total, "done": len(results) - failed, "failed": failed}
    document = {
        "note": NOTE,
        **counts,
        "measures": shown,
        "seeds": comparison.methods.seeds,
        "iterations": config.adaptation.iterations,
        "source_sha256": comparison.source_sha256,
        "tables": {name: [row.as_dict() for row in rows] for name, rows in figures.items()},
    }
    paths = {kind: folder / f"methods.{kind}" for kind in ("json", "md", "png")}
    write_json(paths["json"], document)
    write_text(paths["md"], markdown(tables, figures, document))
    write_picture(paths["png"], tables, figures, shown[0])
    return {
        **counts,
        "measure": shown[0],
        **{name: {row.title: row.summary[shown[0]].mean for row in rows} for name, rows in figures.items()},
        **{key: str(paths[kind]) for key, kind in {"figures": "json", "tables": "md", "picture": "png"}.items()},
    }


def _rows(
    comparison: Comparison,
    table: Table,
    baseline: Mapping[str, Figures],
    results: Mapping[str, CellResult],
    shown: Sequence[str],
) -> list[RowFigures]:
    seeds = comparison.methods.seeds

    def figures_of(row: Row, over: Mapping[str, Mapping[int, float]]) -> RowFigures:
        cells = {seed: comparison.cell(row, seed) for seed in seeds}
        found = {seed: results[cell.fingerprint] for seed, cell in cells.items() if cell.fingerprint in results}
        return row_figures(row, found, shown, over, is_configured=not cells[seeds[0]].changes)

    if not table.has_baselines:
        over = figures_of(ALL, {}).values
        return [figures_of(row, over) for row in table.rows]
    source = baseline["source only"]
    without_steps = [baseline_figures(title, figures, shown, source) for title, figures in baseline.items()]
    means = {measure: without_steps[0].summary[measure].mean for measure in shown}
    over = {measure: dict.fromkeys(seeds, mean) for measure, mean in means.items() if mean is not None}
    return without_steps + [figures_of(row, over) for row in table.rows]
