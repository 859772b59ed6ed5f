"""How much of each class keeps its label: counted alike where integers are chosen and where artefacts are judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_CLASS_PIXELS", "RARE_SHARE", "ClassRecall", "class_recalls"]

MIN_CLASS_PIXELS = 100
"""A class of fewer pixels is not judged: one pixel on a border that flips would be more than a hundredth of it."""
RARE_SHARE = 0.02
"""A class with a smaller share of all pixels is rare: agreement over all of them hardly sees it."""


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """`share` of all pixels that have a class, and the share of them that keep it; None where they are too few."""

    share: float
    recall: float | None

    @property
    def is_rare(self) -> bool:
        """Whether agreement over all pixels hardly sees it."""
        return self.share < RARE_SHARE


def class_recalls(counts: NDArray[np.int64]) -> tuple[ClassRecall, ...]:
    """One entry a class.

    Args:
        counts: (C, at least C) pixels by the class they should have and the one they got.
    """
    rows = counts.sum(axis=1)
    return tuple(
        ClassRecall(float(row / rows.sum()), float(counts[place, place] / row) if row >= MIN_CLASS_PIXELS else None)
        for place, row in enumerate(rows)
    )
