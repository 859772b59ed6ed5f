"""Runs one cell from what it starts from to its result; in a process of its own, which its memory is measured of."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.methods.cells.cells import Cell, Comparison
from benchmarks.methods.cells.oracle import learn_from_labels
from benchmarks.methods.cells.results import CellResult, Cost, Counts, Figures, delete_network, measured, write_counts
from runtime.command import say
from runtime.errors import DataError, TrainingError
from runtime.files import writable_folder, write_text
from training.adapt import adapt, adapted_path
from training.checkpoint import load_network
from training.data.open import open_labelled_frames
from training.device import Compute
from training.evaluate import evaluate
from training.preparation import prepare
from training.source import factory_of, load_source, source_path

__all__ = ["run_cell"]


def run_cell(comparison: Comparison, cell: Cell) -> CellResult:
    """Learn, evaluate and write the result; a run that cannot go on is a result too."""
    is_there = adapted_path(cell.config).exists()
    found: dict[str, Any]
    try:
        _prepare(comparison, cell)
        _forget_peak(comparison.compute)
        started = time.perf_counter()
        if cell.oracle is None:
            provenance = adapt(cell.config, prepared_in=comparison.prepared)
        else:
            provenance = learn_from_labels(comparison, cell, cell.oracle)
        is_learnt = cell.oracle is not None or not provenance["is_same_domain"]
        cost = None if is_there or not is_learnt else _cost(cell, comparison.compute, time.perf_counter() - started)
        figures = _measure(comparison, cell, provenance["scores_after"])
        is_vetoed = cell.oracle is None and provenance["is_vetoed"]
        share = provenance["statistics_share"]
        found = {"figures": figures, "cost": cost, "statistics_share": share, "is_vetoed": is_vetoed}
    except TrainingError as error:
        found = {"failed": str(error)}
    result = CellResult.of(comparison, cell, **found)
    write_text(comparison.result_path(cell), result.model_dump_json(indent=2) + "\n")
    delete_network(cell, result)
    return result


def _prepare(comparison: Comparison, cell: Cell) -> None:
    """Make what the cell starts from, one cell after another: those that start from the same find it made."""
    source = load_source(cell.config)
    if source.sha256 != comparison.source_sha256:
        raise DataError(
            f"{source_path(cell.config)} was replaced while methods are compared: its hash is {source.sha256[:12]}, "
            f"and all other cells start from {comparison.source_sha256[:12]}; put that network back, or start again"
        )
    with _alone(writable_folder(comparison.prepared) / "lock"):
        prepared = prepare(cell.config, source, comparison.compute, comparison.prepared)
        if cell.oracle is not None or prepared.spec.provenance["is_same_domain"]:
            return
        prepared.make_labels(cell.config.adaptation, comparison.compute)
        form = cell.config.adaptation.method.needs.importance
        if form is not None:
            prepared.importance(form, comparison.compute)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in here; a process that dies lets the next one in."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _cost(cell: Cell, compute: Compute, seconds: float) -> Cost:
    return Cost(
        seconds=round(seconds, 1),
        step_seconds=round(_step_seconds(cell), 4),
        peak_mib=round(_peak_bytes(compute) / 2**20, 1),
        device=compute.device.type,
        threads=torch.get_num_threads(),
    )


def _step_seconds(cell: Cell) -> float:
    """Mean over the steps since the run was last resumed, as the trainer logged it."""
    (metrics,) = cell.config.output.glob("**/metrics.jsonl")
    images_per_s = json.loads(metrics.read_text(encoding="utf-8").splitlines()[-1])["images_per_s"]
    learnt = cell.oracle or cell.config.adaptation
    return float(learnt.batch_size / images_per_s)


def _forget_peak(compute: Compute) -> None:
    """What the cell starts from is shared, and made by whichever cell comes first: its memory is none of theirs."""
    if compute.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        try:
            # The kernel's notation for: let VmHWM begin again at what is resident now.
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError as error:
            say(f"the peak memory of this cell counts what it starts from too ({error})")


def _peak_bytes(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    # Not `ru_maxrss`, in which a started process inherits the peak of the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak_kib,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(peak_kib) * 1024


def _measure(comparison: Comparison, cell: Cell, scores: dict[str, float]) -> Figures:
    compute, test = comparison.compute, cell.config.target.test
    network, spec = load_network(adapted_path(cell.config), factory=factory_of(cell.config.model))
    if test is None:
        return measured(scores, None, spec)
    by_frame: list[Counts] = []
    frames = open_labelled_frames(test, spec.label_space)
    matrix = evaluate(compute.place(network), spec, frames, compute, title="evaluate", by_frame=by_frame)
    write_counts(comparison.counts_path(cell), {"adapted": by_frame})
    return measured(scores, matrix, spec)
