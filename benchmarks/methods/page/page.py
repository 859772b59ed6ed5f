"""What is written of the cells that are done: tables for people, figures for programs, a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.config import SectionConfig
from benchmarks.environment import describe_environment
from benchmarks.methods.cells.results import CellResult, Figures
from benchmarks.methods.cells.workers import Share
from benchmarks.methods.figures.blocks import Study, StudyFigures, study_figures
from benchmarks.methods.page.markdown import markdown, summary_text
from benchmarks.methods.page.picture import write_picture
from runtime.command import say
from runtime.files import writable_folder, write_json, write_text

__all__ = ["Page"]

NOTE = (
    "Labels of the test frames are read to fill these tables, labels of the target's training frames by the row "
    "*oracle* alone: the cells are fixed before the first one runs, every figure is of a run's last step, and nothing "
    "is stopped, chosen or changed by a label."
)


class Page:
    """The three files of a comparison, written anew as cells end."""

    def __init__(
        self,
        config: SectionConfig,
        studies: Sequence[Study],
        baselines: Sequence[Mapping[str, Figures]],
        results: dict[Path, CellResult],
        total: int,
        share: Share,
    ) -> None:
        self.config, self.studies, self.baselines = config, studies, baselines
        self.results, self.total, self.share = results, total, share

    def write(self, *, is_last: bool = False) -> dict[str, Any]:
        """Write all three files; tell a person what is in them where they are the last."""
        seeds = self.config.methods.seeds
        figures = [
            study_figures(study, baseline, self.results, seeds)
            for study, baseline in zip(self.studies, self.baselines, strict=True)
        ]
        failed = sum(result.failed is not None for result in self.results.values())
        counts = {"cells": self.total, "done": len(self.results) - failed, "failed": failed}
        document = {
            "note": NOTE,
            **counts,
            "seeds": list(seeds),
            "workers": self.share.workers,
            "environment": describe_environment(self.share.threads).model_dump(mode="json"),
            "config": self.config.methods.model_dump(mode="json"),
            "data": {one.study.comparison.name: _as_dict(one) for one in figures},
        }
        folder = writable_folder(self.config.output)
        paths = {kind: folder / f"methods.{kind}" for kind in ("json", "md", "png")}
        write_json(paths["json"], document)
        write_text(paths["md"], markdown(figures, document))
        write_picture(paths["png"], figures)
        if is_last:
            say(summary_text(figures))
        return {
            **counts,
            "data": {one.study.comparison.name: _means(one) for one in figures},
            **{key: str(paths[kind]) for key, kind in {"figures": "json", "tables": "md", "picture": "png"}.items()},
        }


def _as_dict(figures: StudyFigures) -> dict[str, Any]:
    comparison = figures.study.comparison
    tables = {table.name: [b.as_dict() for b in figures.blocks if b.table is table] for table in figures.study.tables}
    return {
        "measures": list(figures.measures),
        "iterations": comparison.config.adaptation.iterations,
        "source_sha256": comparison.source_sha256,
        "why_no_oracle": figures.study.why_no_oracle,
        "tables": tables,
    }


def _means(figures: StudyFigures) -> dict[str, Any]:
    found: dict[str, Any] = {"measure": figures.measures[0]}
    for block in figures.blocks:
        of_table = found.setdefault(block.table.name, {})
        of_table |= {row.title: row.summary[figures.measures[0]].mean for row in block.rows}
    return found
