"""The page: every figure at its place, blocks apart, and what is missing said."""

from pathlib import Path
from typing import Any

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.cells.results import CellResult, Cost, Figures
from benchmarks.methods.figures.blocks import Block, Study, StudyFigures
from benchmarks.methods.figures.gaps import placed
from benchmarks.methods.figures.significance import differences
from benchmarks.methods.figures.summary import baseline_figures, row_figures
from benchmarks.methods.page.markdown import markdown, summary_text
from benchmarks.methods.rows.row import ALL, Row
from benchmarks.methods.rows.tables import Table

DOCUMENT: dict[str, Any] = {"seeds": (0, 1, 2), "done": 3, "cells": 6, "failed": 1, "workers": 2, "note": "noted"}
DOCUMENT["environment"] = {"threads": 4, "cpu": "a processor", "gpu": None}
COST = Cost(seconds=100.0, step_seconds=0.25, peak_mib=800.0, device="cpu", threads=4)


def result(seed: int, miou: float | None, *, failed: str | None = None) -> CellResult:
    figures = None if miou is None else Figures(scores={}, miou=miou, iou={"road": miou + 1, "train": None})
    cost = None if miou is None else COST
    return CellResult(
        seed=seed, changes={}, iterations=1, source_sha256="ab", cost=cost, figures=figures, failed=failed
    )


def test_page_shows_every_seed_gains_published_figures_and_what_is_missing(comparison: Comparison) -> None:
    table = Table("rows", "Rows", (ALL,))
    over = {"miou": {0: 10.0, 2: 13.0}}
    rows = [
        row_figures(ALL, {0: result(0, 10.0), 2: result(2, 13.0)}, ("miou",), over),
        row_figures(Row("own", {}), {0: result(0, 9.0), 2: result(2, None, failed="NaN")}, ("miou",), over),
    ]
    study = Study(comparison, [table], "no table shows one")
    page = markdown([StudyFigures(study, ("miou",), None, [Block(table, "", rows, [])])], DOCUMENT)
    assert "3 of 6 cells done, 1 failed; seeds 0, 1, 2; 2 at a time, CPU threads of each: 4; on a processor" in page
    assert f"7 steps of 2 crops unless the row says otherwise; source network {comparison.source_sha256[:12]}" in page
    assert "| all | 11.5 +- 2.1 | 10.0 | - | 13.0 | +0.0 +- 0.0 | 49.4 |" in page
    assert "| own | 9.0 | 9.0 | - | - | -1.0 | - |" in page
    assert "Failed: own, seed 2: NaN" in page
    assert "No oracle" not in page


def test_blocks_stand_apart_with_notes_gaps_differences_and_cost(comparison: Comparison, tmp_path: Path) -> None:
    """Source 20, blend 30, oracle 40: a row at 34 and 36 is 75 percent of the way, half of what the blend leaves."""
    source, blend = (Figures(scores={}, miou=value, iou={"road": value, "train": None}) for value in (20.0, 30.0))
    baselines = [
        baseline_figures(title, one, ("miou",), source)
        for title, one in {"source only": source, "BN as chosen": blend}.items()
    ]
    over = {"miou": {0: 20.0, 1: 20.0}}

    def row(title: str, *values: float, **kind: Any) -> Any:
        results = {seed: result(seed, value) for seed, value in enumerate(values)}
        return row_figures(Row(title, {}, note=f"note of {title}"), results, ("miou",), over, **kind)

    oracle = row("oracle", 40.0, 40.0, is_oracle=True)
    *free, with_source, last = placed([*baselines, row("free", 34, 36), row("both", 35, 37, needs_source=True)], oracle)
    table = Table("methods", "Methods", (), has_baselines=True)
    blocks = [
        Block(table, "Source-free", [*free, last], differences(free, "miou", (0, 1), {})),
        Block(table, "With source", [with_source], []),
    ]
    figures = StudyFigures(Study(comparison, [table], None), ("miou",), last, blocks)
    page = markdown([figures], DOCUMENT)
    first, second = page.split("#### With source")
    assert "#### Source-free" in first
    assert "| free (1) | 35.0 +- 1.4 | 34.0 | 36.0 | - | +15.0 +- 1.4 | +5.0 +- 1.4 | 75 +- 7 | 50 +- 14 | - |" in first
    assert "1. note of free\n2. note of oracle" in first
    assert "Differences from free" in first
    assert "| BN as chosen | 2 | -5.0 | -17.7 to +7.7 | 0.126 | 0.126 | - |" in first
    assert "| free | 100 | 0.250 | 800 |" in first
    assert "| free | 36.0 | - |" in first
    assert "| both (1) | 36.0 +- 1.4 |" in second
    assert "1. note of both" in second
    told = summary_text([figures])
    assert "run, Methods, Source-free" in told
    assert "run, Methods, With source" in told


def test_missing_oracle_has_its_reason(comparison: Comparison) -> None:
    table = Table("methods", "Methods", (), has_baselines=True)
    figures = StudyFigures(
        Study(comparison, [table], "there are no labels"), ("miou",), None, [Block(table, "", [], [])]
    )
    assert "No oracle: there are no labels." in markdown([figures], DOCUMENT)
