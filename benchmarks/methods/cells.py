"""The cells of a comparison: one setting with one seed each, run once, whichever rows they stand in.

What a cell found is a file named after everything it depends on; where the file is there, the cell is done.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from benchmarks.methods.config import MethodsConfig
from benchmarks.methods.tables import Row
from runtime.config import StrictModel, assign, validated
from runtime.errors import ConfigError, DataError, TrainingError
from runtime.files import write_text
from runtime.metrics import ConfusionMatrix
from training.adapt import adapt, adapted_path
from training.checkpoint import NetworkSpec, load_network
from training.config import AdaptationConfig, GivenSource, TrainingConfig
from training.data.open import open_labelled_frames
from training.device import Compute, choose_compute
from training.evaluate import evaluate
from training.source import factory_of, fingerprint, load_source, source_path

__all__ = ["Cell", "CellResult", "Comparison", "Figures", "measured", "read_results", "run_cell"]


class Figures(StrictModel):
    """What was measured of a network; `miou` and `iou`, in percent, only where target labels are configured."""

    scores: dict[str, float]
    miou: float | None = None
    iou: dict[str, float | None] = Field(default_factory=dict)


class CellResult(StrictModel):
    """The file of a cell that is done."""

    seed: int
    changes: dict[str, Any]
    """Dotted keys below `adaptation` that differ from the run file, with their values."""
    iterations: int
    source_sha256: str
    seconds: float
    """Of the run that finished it; a run that was interrupted before does not count."""
    statistics_share: float | None = None
    figures: Figures | None = None
    failed: str | None = None
    """Why there are no figures; delete the file to try again."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting with one seed."""

    fingerprint: str
    config: TrainingConfig
    changes: dict[str, Any]
    title: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all cells have in common: the run they vary, its one source network, and where things go."""

    config: TrainingConfig
    methods: MethodsConfig
    source_sha256: str
    compute: Compute

    @classmethod
    def of(cls, config: TrainingConfig, methods: MethodsConfig) -> "Comparison":
        """Pin the source network; the steps are those of the comparison where it names any.

        Raises:
            CheckpointError: the source network's file cannot be used.
            ConfigError: the config describes another network.
        """
        source = load_source(config)
        pinned: dict[str, Any] = {
            "source": GivenSource(kind="checkpoint", path=source_path(config), frames=config.source.frames)
        }
        if methods.iterations is not None:
            changed = {"iterations": methods.iterations}
            pinned["adaptation"] = config.adaptation.model_copy(update=changed)
        config = config.model_copy(update=pinned)
        return cls(config, methods, source.sha256, choose_compute(config.device, config.precision))

    @property
    def folder(self) -> Path:
        """Receives the tables, the picture and a file per cell."""
        return self.config.output / "methods"

    @property
    def prepared(self) -> Path:
        """What cells start from; shared with `adapt` of the same run file."""
        return self.config.output / "prepared"

    def cell(self, row: Row, seed: int) -> Cell:
        """The cell of a row and a seed.

        Raises:
            ConfigError: the row changes a key that does not exist, or to a value that is not valid, or the preset.
        """
        if "preset" in row.changes:
            raise ConfigError(
                f"compare row {row.title!r}: a preset fills keys that a run file leaves out, and none is left out here;"
                " change the keys in which the presets differ"
            )
        base = self.config.adaptation
        values = base.model_dump()
        for key, value in row.changes.items():
            assign(values, key, copy.deepcopy(value), place=f"compare row {row.title!r}")
        adaptation = validated(AdaptationConfig, values, place=f"compare row {row.title!r}")
        changes = _difference(base.model_dump(mode="json"), adaptation.model_dump(mode="json"))
        settings = {
            "adaptation": adaptation,
            "target": self.config.target,
            "model": self.config.model,
            "seed": seed,
            "source": self.source_sha256,
        }
        if adaptation.method.needs.source:
            settings["source_frames"] = self.config.source.frames
        mark = fingerprint(settings, self.compute)
        output = self.folder / "runs" / mark
        config = self.config.model_copy(update={"adaptation": adaptation, "seed": seed, "output": output})
        return Cell(mark, config, changes, f"{row.title}, seed {seed}")

    def result_path(self, cell: Cell) -> Path:
        """Where a cell's result lies once it is done."""
        return self.folder / "cells" / f"{cell.fingerprint}.json"


def read_results(comparison: Comparison, cells: Sequence[Cell]) -> dict[str, CellResult]:
    """Results of the cells that are done, by fingerprint.

    Raises:
        DataError: a file is damaged.
    """
    found = {}
    for cell in cells:
        path = comparison.result_path(cell)
        if not path.exists():
            continue
        try:
            found[cell.fingerprint] = CellResult.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataError(f"{path} is not the result of a cell ({error}); delete it to run the cell again") from error
        _delete_network(comparison, cell, found[cell.fingerprint])
    return found


def run_cell(comparison: Comparison, cell: Cell) -> CellResult:
    """Adapt, evaluate and write the result; a run that cannot go on is a result too."""
    started = time.perf_counter()
    found: dict[str, Any]
    try:
        provenance = adapt(cell.config, prepared_in=comparison.prepared)
        figures = _measure(cell.config, comparison.compute, provenance["scores_after"])
        found = {"figures": figures, "statistics_share": provenance["statistics_share"]}
    except TrainingError as error:
        found = {"failed": str(error)}
    result = CellResult(
        seed=cell.config.seed,
        changes=cell.changes,
        iterations=cell.config.adaptation.iterations,
        source_sha256=comparison.source_sha256,
        seconds=round(time.perf_counter() - started, 1),
        **found,
    )
    write_text(comparison.result_path(cell), result.model_dump_json(indent=2) + "\n")
    _delete_network(comparison, cell, result)
    return result


def measured(scores: Mapping[str, float], matrix: ConfusionMatrix | None, spec: NetworkSpec) -> Figures:
    """Figures of a network from its label-free scores and, where there are labels, its confusion matrix.

    Raises:
        DataError: no pixel of the test set has a label.
    """
    if matrix is None:
        return Figures(scores=dict(scores))
    if not matrix.counts.any():
        raise DataError("no pixel of the target test set has a label; correct target.test, or leave it out")
    return Figures(scores=dict(scores), miou=round(matrix.miou(), 2), iou=dict(matrix.iou_by_name(spec.space.names)))


def _measure(config: TrainingConfig, compute: Compute, scores: Mapping[str, float]) -> Figures:
    network, spec = load_network(adapted_path(config), factory=factory_of(config.model))
    matrix = None
    if config.target.test is not None:
        test = open_labelled_frames(config.target.test, spec.space)
        matrix = evaluate(compute.place(network), spec, test, compute, title="evaluate")
    return measured(scores, matrix, spec)


def _delete_network(comparison: Comparison, cell: Cell, result: CellResult) -> None:
    """After the result is on disk, never before: a kill in between costs disk space until the next run, not a cell."""
    if result.failed is None and not comparison.methods.keep_networks:
        adapted_path(cell.config).unlink(missing_ok=True)


def _difference(base: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys whose values differ, with the other's value."""
    found: dict[str, Any] = {}
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            found |= _difference(base[key], value, f"{prefix}{key}.")
        elif key not in base or base[key] != value:
            found[prefix + key] = value
    return found
