"""Which labelled frame comes next: one that shows a rare class (rare-class sampling, DAFormer, CVPR 2022).

The authors also redraw the crop until it shows the class; here it is drawn as for every method.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError
from runtime.labels import IGNORE_INDEX
from training.data.frames import LabelledFrames

__all__ = ["RareClasses", "class_probabilities"]

# The authors count all frames, and take 3000 pixels of 1280 x 720 for a class that is shown.
COUNTED_FRAMES = 200
LEAST_SHARE = 3000 / (1280 * 720)
TRIES = 10


class RareClasses:
    """Draws a class, the rarer the likelier, and then a frame that shows it.

    The authors draw from a list of the frames with each class. Here frames are drawn until one shows the class, which
    is the same distribution without a list, and no more than ten times, of which the last is then taken. Frequencies
    are those of at most 200 frames, evenly spread: to count them all would take longer than a short run.

    Args:
        frames: labelled ones; nothing is read yet.
        temperature: of the choice of classes.
    """

    def __init__(self, frames: LabelledFrames, temperature: float) -> None:
        self.frames, self.temperature = frames, temperature

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Of each train id below `IGNORE_INDEX`; counted when first asked for.

        Raises:
            DataError: none of the frames that are counted has a labelled pixel.
        """
        num_frames = len(self.frames)
        counted = np.linspace(0, num_frames - 1, min(num_frames, COUNTED_FRAMES)).round().astype(int)
        counts = sum((_counts(self.frames.label(int(index))) for index in counted), np.zeros(IGNORE_INDEX, dtype=int))
        if not counts.any():
            raise DataError(
                f"none of the {len(counted)} source frames whose classes were counted, {self.frames.name(0)} the "
                "first, has a labelled pixel; check the labels with check-data, or set rare_temperature to null"
            )
        return class_probabilities(counts / counts.sum(), self.temperature)

    def draw(self, rng: np.random.Generator) -> int:
        """Index of a frame."""
        train_id = int(rng.choice(IGNORE_INDEX, p=self.probabilities))
        for _ in range(TRIES):
            index = int(rng.integers(len(self.frames)))
            label = self.frames.label(index)
            if np.count_nonzero(label == train_id) >= LEAST_SHARE * label.size:
                break
        return index


def class_probabilities(frequencies: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """softmax((1 - f) / temperature) over the classes that occur at all; 0 for the others.

    Args:
        frequencies: (C,) shares of all labelled pixels.
        temperature: the smaller, the more the rarest class is preferred.
    """
    occurring = frequencies > 0
    weights = np.where(occurring, np.exp((frequencies[occurring].min() - frequencies) / temperature), 0.0)
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def _counts(label: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
