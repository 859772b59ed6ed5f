"""What a cell found, as it lies on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from benchmarks.methods.cells.cells import Cell, Comparison
from runtime.config import StrictModel
from runtime.errors import DataError
from runtime.files import replacing
from runtime.metrics import ConfusionMatrix
from training.adapt import adapted_path
from training.checkpoint import NetworkSpec

__all__ = ["CellResult", "Cost", "Counts", "Figures", "delete_network", "measured", "read_results", "write_counts"]

Counts = NDArray[np.int64]
"""(F, C, C): pixels of each frame by true and predicted class."""


class Figures(StrictModel):
    """What was measured of a network; `miou` and `iou`, in percent, only where target labels are configured."""

    scores: dict[str, float]
    miou: float | None = None
    iou: dict[str, float | None] = Field(default_factory=dict)


class Cost(StrictModel):
    """What the steps of a cell cost, without what it starts from, which it shares, and without its evaluation.

    `peak_mib` is the most memory its process held, Python and torch included; of a GPU, the most it had allocated.
    """

    seconds: float
    step_seconds: float
    peak_mib: float
    device: str
    threads: int


class CellResult(StrictModel):
    """The file of a cell that is done."""

    seed: int
    changes: dict[str, Any]
    """Dotted keys below `adaptation` that differ from the run file, with their values."""
    iterations: int
    source_sha256: str
    cost: Cost | None = None
    """None where the network was there already: its training was of a run that ended before it was evaluated."""
    statistics_share: float | None = None
    is_vetoed: bool = False
    """Whether the figures are of what the cell started from, because it lost too many classes."""
    figures: Figures | None = None
    is_network_kept: bool | None = None
    """None in results of earlier versions, whose networks stay."""
    failed: str | None = None
    """Why there are no figures; on disk only where the same would happen again. Delete the file to try again."""

    @classmethod
    def of(cls, comparison: Comparison, cell: Cell, **found: Any) -> "CellResult":
        """The result of a cell."""
        learnt = cell.oracle or cell.config.adaptation
        return cls(
            seed=cell.config.seed,
            changes=cell.changes,
            iterations=learnt.iterations,
            source_sha256=comparison.source_sha256,
            is_network_kept=comparison.methods.keep_networks,
            **found,
        )


def read_results(tasks: Sequence[tuple[Comparison, Cell]]) -> dict[Path, CellResult]:
    """Results of the cells that are done, by the path of their file.

    Raises:
        DataError: a file is damaged.
    """
    found = {}
    for comparison, cell in tasks:
        path = comparison.result_path(cell)
        if not path.exists():
            continue
        try:
            found[path] = CellResult.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataError(f"{path} is not the result of a cell ({error}); delete it to run the cell again") from error
        delete_network(cell, found[path])
    return found


def delete_network(cell: Cell, result: CellResult) -> None:
    """Unless its own run was to keep it; after the result is on disk, never before.

    A kill in between costs disk space until the next run, not a cell.
    """
    if result.failed is None and result.is_network_kept is False:
        adapted_path(cell.config).unlink(missing_ok=True)


def measured(scores: Mapping[str, float], matrix: ConfusionMatrix | None, spec: NetworkSpec) -> Figures:
    """Figures of a network from its label-free scores and, where there are labels, its confusion matrix.

    Raises:
        DataError: no pixel of the test set has a label.
    """
    if matrix is None:
        return Figures(scores=dict(scores))
    if not matrix.counts.any():
        raise DataError("no pixel of the target test set has a label; correct target.test, or leave it out")
    return Figures(
        scores=dict(scores), miou=round(matrix.miou(), 2), iou=dict(matrix.iou_by_name(spec.label_space.names))
    )


def write_counts(path: Path, counts: Mapping[str, Sequence[Counts]]) -> None:
    """Write the pixel counts (C, C) of every test frame of some networks, by name."""
    with replacing(path) as temporary:
        arrays: dict[str, Any] = {name: np.stack(frames) for name, frames in counts.items()}
        np.savez_compressed(temporary, **arrays)
