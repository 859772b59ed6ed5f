"""How alike the classes look to the network: cosine similarity of their prototypes, before and after."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.report.charts.heat_map import heat_map
from benchmarks.report.networks import Networks
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.spread import spread
from runtime.command import progress
from runtime.errors import DataError
from training.data.frames import Frames
from training.data.open import open_frames
from training.losses.prototypes import class_prototypes, feature_labels
from training.networks.network import SegmentationNetwork

__all__ = ["SECTION", "similarity_of"]

COUNTED, PAIRS = 24, 5


def build(run: Run) -> Content:
    """A heat map of each network, and the classes that it takes for each other most easily."""
    networks, names = run.networks, run.networks.spec.label_space.names
    try:
        frames = open_frames(run.training.target.adapt)
        chosen = spread(len(frames), COUNTED)
        found = {
            title: similarity_of(_prototypes(network, networks, frames, chosen))
            for title, network in (("source network", networks.source), ("adapted network", networks.adapted))
        }
    except DataError as error:
        raise NotThereError(f"The frames that were adapted to cannot be read: {error}.") from error
    low = min(0.9, float(np.floor(min(np.nanmin(values) for values in found.values()) * 10) / 10))
    values = {
        "maps": [
            (title, heat_map(matrix, names, low=low, high=1.0, title=title), _mean(matrix), _alike(matrix, names))
            for title, matrix in found.items()
        ],
        "low": low,
        "num_counted": len(chosen),
        "is_used": run.training.adaptation.method.needs.memory,
        "method": run.training.adaptation.method.name,
    }
    return Content(values, (networks.source_file, networks.adapted_file))


@torch.no_grad()
def _prototypes(
    network: SegmentationNetwork, networks: Networks, frames: Frames, chosen: Sequence[int]
) -> NDArray[np.float64]:
    """(C, D): mean feature of each class over all chosen frames, by the network's own labels; 0 for absent classes."""
    spec, device = networks.spec, networks.compute.device
    frame_input, num_classes = spec.frame_input().to(device), spec.label_space.num_classes
    sums: torch.Tensor | float = 0.0
    counts = torch.zeros(num_classes, device=device)
    for index in progress(chosen, title="prototypes", unit="frame"):
        image = torch.from_numpy(frames.image(index)).to(device)[None]
        output = network(frame_input(image, spec.network_hw))
        features_hw = (int(output.features.shape[2]), int(output.features.shape[3]))
        labels = feature_labels(output.logits, spec.network_hw, features_hw, align_corners=network.align_corners)
        of_frame = torch.bincount(labels.flatten(), minlength=num_classes).float()
        sums = sums + class_prototypes(output.features.float(), labels, num_classes)[0] * of_frame[:, None]
        counts += of_frame
    assert isinstance(sums, torch.Tensor)
    means: NDArray[np.float64] = (sums / counts.clamp(min=1.0)[:, None]).double().cpu().numpy()
    return means


def similarity_of(prototypes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine similarity (C, C) of prototypes (C, D) to each other; NaN for a class whose prototype is 0."""
    unit = F.normalize(torch.from_numpy(prototypes), dim=1).numpy()
    similarity: NDArray[np.float64] = unit @ unit.T
    is_absent = ~prototypes.any(axis=1)
    similarity[is_absent, :] = similarity[:, is_absent] = np.nan
    return similarity


def _pairs(matrix: NDArray[np.float64]) -> list[tuple[float, int, int]]:
    pairs = ((float(matrix[one, other]), one, other) for one, other in combinations(range(len(matrix)), 2))
    return [pair for pair in pairs if not np.isnan(pair[0])]


def _mean(matrix: NDArray[np.float64]) -> float | None:
    """Over all pairs of different classes."""
    found = [value for value, _, _ in _pairs(matrix)]
    return float(np.mean(found)) if found else None


def _alike(matrix: NDArray[np.float64], names: Sequence[str]) -> list[tuple[str, str, float]]:
    return [(names[one], names[other], value) for value, one, other in sorted(_pairs(matrix), reverse=True)[:PAIRS]]


SECTION = Section("prototypes", "Prototypes", "make adapt", build)
