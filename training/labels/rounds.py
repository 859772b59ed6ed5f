"""The labels of a run: one set for all steps, or, for methods that learn in rounds, a new one for each.

Labels of a round are on disk, whole, before its first step, so that a run that is resumed finds those of the round it
is in, and makes those of the next from the student it restored.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.config import AdaptationConfig
from training.device import Compute
from training.labels.class_balanced import Shares, make_balanced_labels
from training.labels.pseudo_labels import PseudoLabels
from training.networks.network import SegmentationNetwork
from training.preparation import Prepared
from training.statistics.batch_norm import has_statistics
from training.statistics.global_batch_norm import by_own_batch

__all__ = ["Round", "rounds_of"]


@dataclass(frozen=True, slots=True)
class Round:
    """Steps up to `last`, exclusive, on `labels`."""

    last: int
    labels: PseudoLabels


def rounds_of(
    student: SegmentationNetwork, prepared: Prepared, config: AdaptationConfig, folder: Path, compute: Compute
) -> Iterator[Round]:
    """The rounds of a run, each made when the one before it was trained.

    Args:
        student: labels the frames of each round as it is then.
        prepared: frames, and the labels of runs without rounds.
        config: how many rounds, and how frames are labelled.
        folder: receives the labels.
        compute: where.
    """
    rounds = config.method.needs.rounds
    if rounds is None:
        yield Round(config.iterations, prepared.pseudo_labels)
        return
    for number in range(rounds.num_rounds):
        labels = PseudoLabels(folder / f"labels_{number}")
        is_whole = all(labels.path(index).is_file() for index in range(len(prepared.frames)))
        # Decided together: another process may be about to write the last one, and would wait for this one.
        if not all(compute.world.gather(is_whole)):
            make_balanced_labels(
                _settled(student, prepared, config, compute) if number else copy.deepcopy(student).eval(),
                prepared.spec,
                prepared.frames,
                labels,
                config.pseudo_labels,
                compute,
                shares=Shares(rounds.share_of(number), rounds.max_share, rounds.rarity, rounds.image_share),
            )
        yield Round(config.iterations * (number + 1) // rounds.num_rounds, labels)


def _settled(
    student: SegmentationNetwork, prepared: Prepared, config: AdaptationConfig, compute: Compute
) -> SegmentationNetwork:
    """A copy of the student with statistics of clean frames: its running ones are of colour-changed crops."""
    network = by_own_batch(copy.deepcopy(student)).eval()
    if config.student_statistics == "batch" and has_statistics(network):
        prepared.settle(network, config, compute)
    return network
