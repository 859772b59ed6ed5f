"""The labels that training started from: how much of the frames each class has, and how often that is right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report.images import labels_uri, photograph_uri
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.spread import spread
from benchmarks.report.truth import open_truth
from runtime.labels import IGNORE_INDEX
from runtime.metrics import ConfusionMatrix
from training.preparation import INITIAL

__all__ = ["SECTION"]

COUNTED, SHOWN = 60, 3
"""Frames that are counted, and those of them that are shown."""


@dataclass(frozen=True, slots=True)
class _Class:
    """Shares of a class: of the pixels, in the truth, and of its labels and of its pixels those that are right.

    The last three are None where there is no truth, or nothing to divide by.
    """

    name: str
    colour: tuple[int, int, int]
    coverage: float
    true_share: float | None = None
    precision: float | None = None
    recall: float | None = None


def build(run: Run) -> Content:
    """A row for each class, and a few frames with their labels."""
    prepared, space = run.prepared, run.networks.spec.label_space
    labels = prepared.pseudo_labels
    if labels is None:
        raise NotThereError(
            "The run has no pseudo-labels: its method, or a target of the source's own domain, asked for none."
        )
    truth = open_truth(run)
    chosen = spread(len(prepared.frames), COUNTED)
    counts, ignored = np.zeros(space.num_classes, dtype=np.int64), 0
    matrix = ConfusionMatrix(space.num_classes)
    for index in chosen:
        found = labels.label(index)
        counts += np.bincount(found[found != IGNORE_INDEX], minlength=space.num_classes)
        ignored += int(np.count_nonzero(found == IGNORE_INDEX))
        if truth is not None:
            true = truth.label(index).copy()
            true[found == IGNORE_INDEX] = IGNORE_INDEX
            matrix.update(true, np.where(true == IGNORE_INDEX, 0, found).astype(np.uint8))
    num_pixels = int(counts.sum()) + ignored
    shown = [chosen[place] for place in spread(len(chosen), SHOWN)]
    values = {
        "classes": _classes(space.names, space.palette, counts / num_pixels, None if truth is None else matrix.counts),
        "has_truth": truth is not None,
        "num_counted": len(chosen),
        "num_frames": len(prepared.frames),
        "ignored": ignored / num_pixels,
        "right": None if truth is None else float(np.trace(matrix.counts) / matrix.counts.sum()),
        "miou": None if truth is None else matrix.miou(),
        "shown": [
            (
                prepared.frames.name(index),
                photograph_uri(prepared.frames.image(index), max_width=512),
                labels_uri(labels.label(index), space.palette, max_width=512),
            )
            for index in shown
        ],
    }
    return Content(values, (prepared.folder / INITIAL, run.training_config_path))


def _classes(
    names: tuple[str, ...],
    palette: tuple[tuple[int, int, int], ...],
    coverage: NDArray[np.float64],
    counts: NDArray[np.int64] | None,
) -> list[_Class]:
    if counts is None:
        return [_Class(*told) for told in zip(names, palette, coverage.tolist(), strict=True)]
    hit, labelled, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return [
        _Class(
            name,
            palette[place],
            float(coverage[place]),
            true_share=float(true[place] / counts.sum()),
            precision=float(hit[place] / labelled[place]) if labelled[place] else None,
            recall=float(hit[place] / true[place]) if true[place] else None,
        )
        for place, name in enumerate(names)
    ]


SECTION = Section("pseudo_labels", "Pseudo-labels", "make adapt", build)
