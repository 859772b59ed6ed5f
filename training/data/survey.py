"""What a data set holds, frame by frame: sizes, label ids, and everything that cannot be used.

Nothing here stops at the first fault: a night's download has more than one, and each costs a run.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError
from training.data.frames import Frames, LabelledFrames
from training.data.label_maps import RawIds

__all__ = ["FrameFinding", "LabelledIds", "Survey", "look_at"]

TOLD_IDS = 5
Hw = tuple[int, int]


class LabelledIds(LabelledFrames, Protocol):
    """Labelled frames that also tell the raw ids of their labels, and where those lead."""

    @property
    def table(self) -> NDArray[np.int16]:
        """(65536,) of `runtime.labels.id_table`."""
        ...

    def ids(self, index: int) -> RawIds:
        """Raw ids as they stand in the label, of whatever size.

        Raises:
            DataError: the file is missing or damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class FrameFinding:
    """What one frame turned out to be; small, because it comes from another process."""

    index: int
    hw: Hw | None
    """None where the image cannot be read."""
    id_counts: Mapping[int, int]
    """Pixels by raw label id; empty without a usable label."""
    problems: tuple[str, ...]


@dataclass(slots=True)
class Survey:
    """The findings of a data set, added up."""

    num_frames: int
    """In the data set, whether looked at or not."""
    num_looked_at: int = 0
    sizes: Counter[Hw] = field(default_factory=Counter)
    id_counts: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    usable: list[int] = field(default_factory=list)
    """Indices of the frames without a problem."""

    def add(self, finding: FrameFinding) -> None:
        """Count one frame."""
        self.num_looked_at += 1
        self.problems += finding.problems
        self.id_counts.update(finding.id_counts)
        if finding.hw is not None:
            self.sizes[finding.hw] += 1
        if not finding.problems:
            self.usable.append(finding.index)

    def class_counts(self, table: NDArray[np.int16], num_classes: int) -> NDArray[np.int64]:
        """Pixels of each train id, (num_classes,)."""
        counts = np.zeros(num_classes, dtype=np.int64)
        for raw_id, count in self.id_counts.items():
            if 0 <= table[raw_id] < num_classes:
                counts[table[raw_id]] += count
        return counts


def look_at(frames: Frames, labelled: LabelledIds | None, index: int) -> FrameFinding:
    """Read one frame whole; whatever is wrong with it is a finding, not an error.

    Args:
        frames: the data set.
        labelled: the same with labels; None where they are not to be touched.
        index: of the frame.
    """
    hw, problems, counts = None, [], {}
    try:
        height, width = frames.image(index).shape[:2]
        hw = (height, width)
    except DataError as error:
        problems.append(str(error))
    if labelled is not None:
        try:
            ids = labelled.ids(index)
            counts = _count(ids)
            problems += _label_problems(f"label of {labelled.name(index)}", ids, counts, labelled.table, hw)
        except DataError as error:
            problems.append(str(error))
    return FrameFinding(index, hw, counts, tuple(problems))


def _count(ids: RawIds) -> dict[int, int]:
    counts = np.bincount(ids.ravel())
    return {int(raw_id): int(counts[raw_id]) for raw_id in np.flatnonzero(counts)}


def _label_problems(
    label: str, ids: RawIds, counts: Mapping[int, int], table: NDArray[np.int16], hw: Hw | None
) -> list[str]:
    problems = []
    if hw is not None and ids.shape != hw:
        problems.append(
            f"{label} is {ids.shape[0]}x{ids.shape[1]} pixels (height x width) but the frame is {hw[0]}x{hw[1]}"
        )
    undefined = [raw_id for raw_id in counts if table[raw_id] < 0]
    if undefined:
        told = ", ".join(f"{raw_id} ({counts[raw_id]} pixels)" for raw_id in undefined[:TOLD_IDS])
        more = f" and {len(undefined) - TOLD_IDS} more" if len(undefined) > TOLD_IDS else ""
        problems.append(f"{label} holds ids that the data set does not define: {told}{more}")
    return problems
