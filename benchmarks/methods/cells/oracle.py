"""The oracle: the prepared network fine-tuned with labels of the very frames that every other cell sees without them.

It is the one place where the target's training labels are opened, and nothing that it finds reaches another cell.
"""

from pathlib import Path
from typing import Any

from benchmarks.methods.cells.cells import Cell, Comparison
from runtime.errors import ConfigError, DataError
from runtime.files import writable_folder
from training.adapt import adapted_path
from training.checkpoint import read_network, save_network
from training.config import TrainedSource
from training.data.open import open_labelled_frames
from training.methods.supervised import Supervised
from training.preparation import Prepared, prepare
from training.source import load_source
from training.statistics.batch_norm import has_statistics, load_statistics
from training.statistics.label_free import score
from training.target_images import SCORED_FRAMES, network_inputs, target_statistics
from training.trainer import Run, train
from training.views.batches import SourceBatches

__all__ = ["learn_from_labels", "why_no_oracle"]


def why_no_oracle(comparison: Comparison) -> str | None:
    """Why there can be no oracle, in a sentence; None where there can."""
    target = comparison.config.target
    if comparison.methods.oracle is None:
        return "methods.oracle is null"
    if target.test is None:
        return "there is no labelled test set to measure it on"
    try:
        open_labelled_frames(target.adapt, comparison.config.label_space)
    except (ConfigError, DataError) as error:
        return f"the target's training frames have no labels: {error}"
    return None


def learn_from_labels(comparison: Comparison, cell: Cell, learning: TrainedSource) -> dict[str, Any]:
    """Fine-tune and write the network, with the statistics of clean target frames: labels taught it these alone.

    Args:
        comparison: where the prepared network is.
        cell: an oracle's.
        learning: frames with labels, steps and optimiser.

    Returns:
        Provenance, with the scores that need no label.

    Raises:
        TrainingError: a loss or gradient is not finite.
        DataError: a label cannot be read.
    """
    path = adapted_path(cell.config)
    if path.exists() and (found := read_network(path)[1].provenance).get("settings") == cell.fingerprint:
        return found
    config, compute = cell.config, comparison.compute
    prepared = prepare(config, load_source(config), compute, comparison.prepared)
    network, spec = prepared.network, prepared.spec
    run = _run_of(comparison, cell, learning, prepared, writable_folder(config.output / "oracle"))
    train(Supervised(network, spec.frame_input().to(compute.device), compute), run, compute.move)
    if has_statistics(network):
        limit = config.adaptation.statistics_frames
        load_statistics(network, target_statistics(network, spec, prepared.frames, compute, limit=limit))
    images = list(network_inputs(spec, prepared.frames, compute, limit=SCORED_FRAMES))
    spec = spec.with_provenance(
        made_by="oracle",
        settings=cell.fingerprint,
        seed=config.seed,
        scores_after=score(network, images, compute).as_dict(),
    )
    save_network(path, network, spec)
    run.state_path.unlink()
    return read_network(path)[1].provenance


def _run_of(comparison: Comparison, cell: Cell, learning: TrainedSource, prepared: Prepared, folder: Path) -> Run[Any]:
    labelled = open_labelled_frames(learning.frames, prepared.spec.label_space)
    return Run(
        folder=folder,
        fingerprint=cell.fingerprint,
        batches=SourceBatches(labelled, learning, cell.config.seed),
        iterations=learning.iterations,
        batch_size=learning.batch_size,
        workers=cell.config.workers,
        checkpoint_every=learning.checkpoint_every,
        optimizer=learning.optimizer,
        compute=comparison.compute,
        seed=cell.config.seed,
        title="oracle",
    )
