"""`compare`: every row of the tables with every seed on one source network, resumable between cells and within them.

Target labels, where the run file names any, are read to fill the tables and for nothing else: cells are fixed before
the first one runs, and none is stopped, chosen or changed by what another found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from runtime.command import inner_progress, progress, say
from runtime.config import StrictModel
from runtime.errors import DataError
from runtime.files import writable_folder, write_json, write_text
from training.compare.cells import Cell, CellResult, Comparison, Figures, read_results, run_cell
from training.compare.markdown import markdown
from training.compare.picture import write_picture
from training.compare.summary import RowFigures, baseline_figures, measures, row_figures
from training.compare.tables import ALL, Row, Table, build_tables
from training.config import TrainingConfig
from training.data.open import open_labelled_frames
from training.evaluate import evaluate
from training.label_free import score
from training.preparation import SCORED_FRAMES, network_inputs, prepare
from training.report import baselines
from training.source import fingerprint, load_source

__all__ = ["compare"]

NOTE = (
    "Target labels are read to fill these tables and for nothing else: the cells are fixed before the first one runs, "
    "every figure is of a run's last step, and nothing is stopped, chosen or changed by a label."
)


class BaselineResults(StrictModel):
    """The file of the rows that no seed changes, by title."""

    source_sha256: str
    rows: dict[str, Figures]


def compare(config: TrainingConfig) -> dict[str, Any]:
    """Run the cells that are left, all rows of a seed before the next seed, and write tables and picture.

    Writes `compare.json`, `compare.md` and `compare.png` below `<output>/compare`, after every seed.

    Returns:
        Key figures: how many cells there are, are done and have failed; the mean of every row of every table; paths.

    Raises:
        ConfigError: a row changes a key that does not exist; the config describes another source network.
        CheckpointError: the source network's file cannot be used.
        DataError: a frame, label or earlier result cannot be read.
    """
    comparison = Comparison.of(config)
    tables = build_tables(config.compare, comparison.config.adaptation.model_dump())
    grid = {seed: _cells(comparison, tables, seed) for seed in config.compare.seeds}
    writable_folder(comparison.folder / "cells")
    results = read_results(comparison, [cell for cells in grid.values() for cell in cells])
    baseline = _baselines(comparison)
    left = [(cell, cell is cells[-1]) for cells in grid.values() for cell in cells if cell.fingerprint not in results]
    total = sum(len(cells) for cells in grid.values())
    bar = progress(left, title="compare", unit="cell", total=total, initial=total - len(left))
    for cell, is_last_of_seed in bar:
        with inner_progress():
            result = results[cell.fingerprint] = run_cell(comparison, cell)
        say(f"{cell.title}: {_told(result)}")
        if is_last_of_seed:
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


def _baselines(comparison: Comparison) -> dict[str, Figures]:
    """Figures of the rows without a gradient step; measured once."""
    config, compute = comparison.config, comparison.compute
    settings = {
        "target": config.target,
        "model": config.model,
        "source": comparison.source_sha256,
        "statistics_share": config.adaptation.statistics_share,
    }
    path = comparison.folder / "cells" / f"baselines_{fingerprint(settings, compute)}.json"
    if path.exists():
        try:
            return BaselineResults.model_validate_json(path.read_bytes()).rows
        except ValidationError as error:
            raise DataError(f"{path} is not a result ({error}); delete it to measure again") from error
    prepared = prepare(config, load_source(config), compute, comparison.prepared)
    spec, test = prepared.spec, config.target.test
    images = list(network_inputs(spec, prepared.frames, compute, limit=SCORED_FRAMES))
    labelled = None if test is None else open_labelled_frames(test, spec.space)
    rows = {}
    for title, network in baselines(config, spec, compute):
        found: dict[str, Any] = {}
        if labelled is not None:
            matrix = evaluate(network, spec, labelled, compute, title=title)
            found = {"miou": round(matrix.miou(), 2), "iou": matrix.iou_by_name(spec.space.names)}
        rows[title] = Figures(scores=score(network, images, compute).as_dict(), **found)
    measured = BaselineResults(source_sha256=comparison.source_sha256, rows=rows)
    write_text(path, measured.model_dump_json(indent=2) + "\n")
    return rows


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
        "seeds": config.compare.seeds,
        "iterations": config.adaptation.iterations,
        "source_sha256": comparison.source_sha256,
        "tables": {name: [row.as_dict() for row in rows] for name, rows in figures.items()},
    }
    paths = {kind: folder / f"compare.{kind}" for kind in ("json", "md", "png")}
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
    seeds = comparison.config.compare.seeds
    source = baseline["source only"]

    def found(row: Row) -> dict[int, CellResult]:
        marks = {seed: comparison.cell(row, seed).fingerprint for seed in seeds}
        return {seed: results[mark] for seed, mark in marks.items() if mark in results}

    if not table.has_baselines:
        compared_with = row_figures(ALL, found(ALL), shown, {}).values
        return [row_figures(row, found(row), shown, compared_with) for row in table.rows]
    rows = [baseline_figures(title, figures, shown, source) for title, figures in baseline.items()]
    over = {m: dict.fromkeys(seeds, value) for m in shown if (value := rows[0].summary[m].mean) is not None}
    return rows + [row_figures(row, found(row), shown, over) for row in table.rows]
