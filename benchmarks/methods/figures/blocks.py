"""The tables of a data set as blocks of rows that may be compared: what learns from source frames stands apart."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.cells.results import CellResult, Figures
from benchmarks.methods.figures.baselines import baselines_path
from benchmarks.methods.figures.gaps import placed
from benchmarks.methods.figures.resamples import Resamples, resampled_miou
from benchmarks.methods.figures.significance import Difference, differences
from benchmarks.methods.figures.summary import RowFigures, baseline_figures, measures, row_figures
from benchmarks.methods.rows.row import ALL, Row
from benchmarks.methods.rows.tables import Table

__all__ = ["Block", "Study", "StudyFigures", "study_figures"]

ORACLE = Row("oracle", {}, note="the same network fine-tuned with the labels of the target's training frames")
SOURCE_FREE, WITH_SOURCE = "Source-free", "Learning from labelled source frames too"


@dataclass(frozen=True, slots=True)
class Study:
    """A data set, the tables of it, and why there is no oracle where there is none."""

    comparison: Comparison
    tables: Sequence[Table]
    why_no_oracle: str | None

    def rows(self) -> list[Row]:
        """Rows of all tables, the configured method among them, which gains are over."""
        return [row for table in self.tables for row in (*table.rows, ALL)]

    def oracle_cell(self, seed: int) -> Cell | None:
        """The oracle's cell of a seed; None where no table shows one, or there can be none."""
        is_shown = any(table.has_baselines for table in self.tables)
        return self.comparison.oracle_cell(seed) if is_shown and self.why_no_oracle is None else None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table, in the order in which they are shown, and how they differ from the leading one."""

    table: Table
    heading: str
    rows: Sequence[RowFigures]
    differences: Sequence[Difference]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into `methods.json`."""
        rows = [row.as_dict() for row in self.rows]
        return {"heading": self.heading, "rows": rows, "differences": [asdict(one) for one in self.differences]}


@dataclass(frozen=True, slots=True)
class StudyFigures:
    """All that was measured on a data set."""

    study: Study
    measures: Sequence[str]
    """What is shown; rows are ranked and drawn by the first."""
    oracle: RowFigures | None
    blocks: Sequence[Block]


def study_figures(
    study: Study, baseline: Mapping[str, Figures], results: Mapping[Path, CellResult], seeds: Sequence[int]
) -> StudyFigures:
    """Figures of a data set from the cells that are done.

    Args:
        study: its tables.
        baseline: figures of the rows without a gradient step, by title.
        results: of cells that have run, by the path of their file.
        seeds: of the comparison.
    """
    return _Summed(study, baseline, results, seeds).figures()


@dataclass(frozen=True, slots=True)
class _Summed:
    study: Study
    baseline: Mapping[str, Figures]
    results: Mapping[Path, CellResult]
    seeds: Sequence[int]

    def figures(self) -> StudyFigures:
        shown = self._shown()
        oracle = self._oracle(shown)
        blocks = [block for table in self.study.tables for block in self._blocks(table, shown, oracle)]
        return StudyFigures(self.study, shown, oracle, blocks)

    def _shown(self) -> tuple[str, ...]:
        return measures(has_labels=self.study.comparison.config.target.test is not None)

    def _oracle(self, shown: Sequence[str]) -> RowFigures | None:
        cells = {seed: cell for seed in self.seeds if (cell := self.study.oracle_cell(seed)) is not None}
        if not cells:
            return None
        return row_figures(ORACLE, self._found(cells), shown, self._over_source(shown), is_oracle=True)

    def _blocks(self, table: Table, shown: Sequence[str], oracle: RowFigures | None) -> list[Block]:
        if not table.has_baselines:
            over = self._row(ALL, shown, {}).values
            return [self._block(table, "", [self._row(row, shown, over) for row in table.rows], shown)]
        source = self.baseline["source only"]
        without_steps = [baseline_figures(title, figures, shown, source) for title, figures in self.baseline.items()]
        over = self._over_source(shown)
        rows = placed([*without_steps, *(self._row(row, shown, over) for row in table.rows)], oracle)
        free = [row for row in rows if not row.needs_source]
        others = [row for row in rows if row.needs_source]
        found = [self._block(table, SOURCE_FREE if others else "", free, shown)]
        return [*found, self._block(table, WITH_SOURCE, others, shown)] if others else found

    def _block(self, table: Table, heading: str, rows: Sequence[RowFigures], shown: Sequence[str]) -> Block:
        if table.is_ranked:
            rows = sorted(rows, key=lambda row: (row.is_oracle, -(row.summary[shown[0]].mean or 0.0)))
        is_curve = all(row.setting is not None for row in rows)
        compared = [] if is_curve or shown[0] != "miou" else [row for row in rows if not row.is_oracle]
        resamples = {row.title: self._resamples(row, table) for row in compared}
        return Block(table, heading, rows, differences(compared, shown[0], self.seeds, resamples))

    def _row(self, row: Row, shown: Sequence[str], over: Mapping[str, Mapping[int, float]]) -> RowFigures:
        cells = {seed: self.study.comparison.cell(row, seed) for seed in self.seeds}
        first = cells[self.seeds[0]]
        return row_figures(
            row,
            self._found(cells),
            shown,
            over,
            is_configured=not first.changes,
            needs_source=first.config.adaptation.method.needs.source,
        )

    def _found(self, cells: Mapping[int, Cell]) -> dict[int, CellResult]:
        paths = {seed: self.study.comparison.result_path(cell) for seed, cell in cells.items()}
        return {seed: self.results[path] for seed, path in paths.items() if path in self.results}

    def _over_source(self, shown: Sequence[str]) -> dict[str, dict[int, float]]:
        source = baseline_figures("", self.baseline["source only"], shown, self.baseline["source only"]).summary
        means = {measure: source[measure].mean for measure in shown}
        return {measure: dict.fromkeys(self.seeds, mean) for measure, mean in means.items() if mean is not None}

    def _resamples(self, figures: RowFigures, table: Table) -> dict[int, Resamples]:
        comparison = self.study.comparison
        if figures.is_baseline:
            found = resampled_miou(baselines_path(comparison).with_suffix(".npz"))
            return dict.fromkeys(self.seeds, found[figures.title]) if figures.title in found else {}
        (row,) = (row for row in table.rows if row.title == figures.title)
        paths = {seed: comparison.counts_path(comparison.cell(row, seed)) for seed in figures.values["miou"]}
        return {seed: found["adapted"] for seed, path in paths.items() if (found := resampled_miou(path))}
