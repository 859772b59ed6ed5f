"""The rows without a gradient step: the source network as it is, and with shares of target statistics."""

from pathlib import Path

from pydantic import ValidationError

from benchmarks.methods.cells.cells import Comparison
from benchmarks.methods.cells.results import Counts, Figures, measured, write_counts
from runtime.config import StrictModel
from runtime.errors import DataError
from runtime.files import write_text
from training.data.open import open_labelled_frames
from training.evaluate import evaluate
from training.preparation import initial_settings, prepare
from training.report import baselines
from training.source import fingerprint, load_source
from training.statistics.label_free import score
from training.target_images import SCORED_FRAMES, network_inputs

__all__ = ["baselines_path", "measure_baselines"]


class BaselineResults(StrictModel):
    """The file of the rows that no seed changes, by title; their pixel counts of every test frame lie beside it."""

    source_sha256: str
    rows: dict[str, Figures]


def measure_baselines(comparison: Comparison) -> dict[str, Figures]:
    """Figures by title, in the order of tables; read from disk where they were measured before.

    Raises:
        DataError: the file on disk is damaged; a frame or label cannot be read.
    """
    path = baselines_path(comparison)
    if path.exists():
        try:
            return BaselineResults.model_validate_json(path.read_bytes()).rows
        except ValidationError as error:
            raise DataError(f"{path} is damaged ({error}); delete it to measure again") from error
    result = BaselineResults(source_sha256=comparison.source_sha256, rows=_measure(comparison))
    write_text(path, result.model_dump_json(indent=2) + "\n")
    return result.rows


def baselines_path(comparison: Comparison) -> Path:
    """Where the rows without a gradient step lie once they are measured."""
    config = comparison.config
    settings = {
        **initial_settings(config),
        "target": comparison.frames,
        "source": comparison.source_sha256,
    }
    return comparison.folder / "cells" / f"baselines_{fingerprint(settings, comparison.compute)}.json"


def _measure(comparison: Comparison) -> dict[str, Figures]:
    config, compute = comparison.config, comparison.compute
    prepared = prepare(config, load_source(config), compute, comparison.prepared)
    spec, test = prepared.spec, config.target.test
    images = list(network_inputs(spec, prepared.frames, compute, limit=SCORED_FRAMES))
    labelled = None if test is None else open_labelled_frames(test, spec.label_space)
    rows, counts = {}, {}
    for title, network in baselines(config, spec, compute):
        matrix = None
        if labelled is not None:
            by_frame: list[Counts] = []
            matrix = evaluate(network, spec, labelled, compute, title=title, by_frame=by_frame)
            counts[title] = by_frame
        rows[title] = measured(score(network, images, compute).as_dict(), matrix, spec)
    if counts:
        write_counts(baselines_path(comparison).with_suffix(".npz"), counts)
    return rows
