"""What adaptation prepared before its first step, found again: pseudo-labels, importance, the initial network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.report.networks import Networks
from benchmarks.report.not_there import NotThereError
from runtime.errors import DataError
from training.checkpoint import NetworkSpec, load_network, read_network
from training.config import TrainingConfig
from training.data.frames import Frames
from training.data.open import open_frames
from training.device import Compute, Precision
from training.labels.importance import ImportanceMaps
from training.labels.pseudo_labels import PseudoLabels
from training.networks.network import SegmentationNetwork
from training.preparation import FORMAT, INITIAL, prepared_settings
from training.source import factory_of, fingerprint

__all__ = ["PreparedOnDisk", "find_prepared"]

ANEW = ("made_by", "settings", "seed")
"""What the adapted network says of itself, not of what it started from."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True)
class PreparedOnDisk:
    """The folder, the frames that were adapted to, and the network that training started from."""

    folder: Path
    frames: Frames
    initial: SegmentationNetwork

    @property
    def pseudo_labels(self) -> PseudoLabels | None:
        """Labels of all frames; None where none were made, as for a target of the source's own domain."""
        labels = PseudoLabels(self.folder / "pseudo_labels")
        return labels if all(labels.path(index).is_file() for index in range(len(self.frames))) else None

    def importance(self, form: str) -> ImportanceMaps | None:
        """Importance of all frames; None where the method asked for none before the first step."""
        maps = ImportanceMaps(self.folder / f"importance_{form}")
        return maps if all(maps.path(index).is_file() for index in range(len(self.frames))) else None


def find_prepared(training: TrainingConfig, networks: Networks) -> PreparedOnDisk:
    """Find the folder by its name, which says what it was made from.

    Raises:
        NotThereError: it is not there, or is of another run, or the frames are not where the run found them.
        CheckpointError: the initial network is damaged.
    """
    try:
        frames = open_frames(training.target.images)
        settings = prepared_settings(training, str(networks.spec.provenance.get("source_sha256")), frames)
    except DataError as error:
        raise NotThereError(f"The frames that were adapted to cannot be read: {error}.") from error
    folder = next((one for one in _candidates(training, settings) if _is_start(one / INITIAL, networks.spec)), None)
    if folder is None:
        raise NotThereError(
            f"What adaptation prepared is not in {training.output / 'prepared'} any more, or is of another run."
        )
    initial = load_network(folder / INITIAL, factory=factory_of(training.model))[0]
    return PreparedOnDisk(folder, frames, networks.compute.place(initial).eval())


def _candidates(training: TrainingConfig, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Folders by the names they can have: a name tells of the machine and of the version too, which may be others."""
    for version in range(FORMAT, 0, -1):
        for device in ("cpu", "cuda"):
            for precision in PRECISIONS:
                name = fingerprint({**settings, "format": version}, Compute(torch.device(device), precision))
                yield training.output / "prepared" / name


def _is_start(path: Path, spec: NetworkSpec) -> bool:
    """Whether the network in a file is the one that an adapted network started from: what was decided, it repeats."""
    if not path.is_file():
        return False
    told = read_network(path)[1].provenance
    return all(spec.provenance.get(key) == value for key, value in told.items() if key not in ANEW)
