"""Labels that come out while time is taken, against those of the same network before: wrong labels have no score."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks.contenders import Frame
from benchmarks.scenarios.document import Checked
from runtime.errors import GateError

__all__ = ["LEAST_AGREEMENT", "LabelCheck", "require_same_labels"]

LEAST_AGREEMENT = 0.9999
COMPARED_SHARE = 0.2


class LabelCheck:
    """Compares outputs drawn at random with the labels of the same frames before anything was timed.

    Args:
        segment: gives the labels (H, W) of a frame.
        frames: what is shown in rotation.
        seed: draws the outputs.
    """

    def __init__(self, segment: Callable[[Frame], Frame], frames: Sequence[Frame], seed: int) -> None:
        self._expected = [segment(frame).copy() for frame in frames]
        self._rng = np.random.default_rng(seed)
        self._num_equal = self._num_pixels = self._num_compared = 0

    def drawn(self, num_outputs: int) -> frozenset[int]:
        """Which of so many outputs are compared: a fifth of them, at least one."""
        size = max(1, round(COMPARED_SHARE * num_outputs))
        return frozenset(self._rng.choice(num_outputs, size=size, replace=False).tolist())

    def compare(self, number: int, labels: Frame) -> None:
        """Compare the labels of frame `number` of the rotation."""
        expected = self._expected[number % len(self._expected)]
        self._num_equal += int(np.count_nonzero(labels == expected))
        self._num_pixels += expected.size
        self._num_compared += 1

    @property
    def num_compared(self) -> int:
        """Outputs compared so far."""
        return self._num_compared

    def result(self) -> Checked:
        """What was found; at least one output has been compared."""
        return Checked(label_agreement=self._num_equal / self._num_pixels, num_compared=self._num_compared)


def require_same_labels(scenario: str, found: Iterable[Checked]) -> None:
    """Refuse a scenario whose labels changed.

    Raises:
        GateError: labels under measurement were not those of before.
    """
    for checked in found:
        if checked.label_agreement < LEAST_AGREEMENT:
            raise GateError(
                f"{scenario}: labels changed while the time was taken: agreement {checked.label_agreement:.6f} with "
                f"those of the same network before, over {checked.num_compared} timed outputs, expected at least "
                f"{LEAST_AGREEMENT}; a run with wrong labels has no score and no document; look for an engine "
                "or memory that is not sound, or choose another scenarios.backend"
            )
