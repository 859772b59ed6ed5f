"""How far the network that training started from can be trusted, pixel by pixel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report.charts.heat_map import colours
from benchmarks.report.images import heat_uri, photograph_uri
from benchmarks.report.prepared import PreparedOnDisk
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.spread import spread
from benchmarks.report.truth import open_truth
from runtime.labels import IGNORE_INDEX
from training.data.frames import LabelledFrames
from training.labels.importance import frame_importance
from training.losses.terms import ImportanceForm
from training.preparation import INITIAL

__all__ = ["SECTION"]

COUNTED, SHOWN, BINS = 24, 3, 10
FORM: ImportanceForm = "prob_ratio"
"""Drawn for methods that use none: the paper's."""
Maps = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Bin:
    """Pixels of an importance in [low, high): their share, and the share of their pseudo-labels that are right."""

    low: float
    high: float
    share: float
    right: float | None


def build(run: Run) -> Content:
    """Maps of a few frames, and how importance is distributed."""
    prepared, needed = run.prepared, run.training.adaptation.method.needs.importance
    stored = None if needed is None else prepared.importance(needed)
    maps = stored.importance if stored is not None else _computed(run, prepared, needed or FORM)
    chosen = spread(len(prepared.frames), COUNTED)
    found = {index: maps(index) for index in chosen}
    table = colours()
    values = {
        "method": run.training.adaptation.method.name,
        "form": needed or FORM,
        "is_used": needed is not None,
        "is_stored": stored is not None,
        "shown": [
            (
                prepared.frames.name(index),
                photograph_uri(prepared.frames.image(index), max_width=512),
                heat_uri(found[index], table, max_width=512),
                float(found[index].mean() / 255),
            )
            for index in (chosen[place] for place in spread(len(chosen), SHOWN))
        ],
        "bins": _bins(found, prepared, open_truth(run)),
        "num_counted": len(chosen),
        "scale": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in table[:: 255 // 5]],
    }
    return Content(values, (prepared.folder / INITIAL,))


def _computed(run: Run, prepared: PreparedOnDisk, form: ImportanceForm) -> Maps:
    """Maps made here and now, as the method would have made them."""
    networks = run.networks

    def importance(index: int) -> NDArray[np.uint8]:
        frame = torch.from_numpy(prepared.frames.image(index)).to(networks.compute.device)[None]
        found: NDArray[np.uint8] = frame_importance(prepared.initial, networks.spec, frame, form)[0].cpu().numpy()
        return found

    return importance


def _bins(maps: dict[int, NDArray[np.uint8]], prepared: PreparedOnDisk, truth: LabelledFrames | None) -> list[_Bin]:
    """Ten equal parts of [0, 1]."""
    pixels, right, judged = (np.zeros(BINS) for _ in range(3))
    labels = prepared.pseudo_labels
    for index, importance in maps.items():
        place = np.minimum(importance.astype(int) * BINS // 255, BINS - 1)
        pixels += np.bincount(place.ravel(), minlength=BINS)
        if truth is None or labels is None:
            continue
        true, label = truth.label(index), labels.label(index)
        # Labels are of the frame's size, importance of the network's.
        size = (true.shape[1], true.shape[0])
        place = np.asarray(Image.fromarray(place.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)).astype(int)
        counted = (true != IGNORE_INDEX) & (label != IGNORE_INDEX)
        judged += np.bincount(place[counted], minlength=BINS)
        right += np.bincount(place[counted & (true == label)], minlength=BINS)
    return [
        _Bin(step / BINS, (step + 1) / BINS, pixels[step] / pixels.sum(), _ratio(right[step], judged[step]))
        for step in range(BINS)
    ]


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


SECTION = Section("importance", "Importance", "make adapt", build)
