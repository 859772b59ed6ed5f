"""One way to quantize a network, as measured against the float32 one on the frames of choice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from export.config import Budget
from export.gates.recalls import ClassRecall, class_recalls
from export.quantization.ranges import RangeMethod
from export.quantization.sessions import LabelsAndLogits
from runtime.metrics import ConfusionMatrix

__all__ = ["Candidate", "Losses", "compare"]

SAFE_SHARE = 0.8
"""Of the budget: frames of choice are few, and the gate judges on others."""
SAFE_CLASS_SHARE = 0.5
"""Of the budget of a class, which rests on fewer pixels: on other frames it may lose twice as much."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What integers cost on some frames.

    `logits_error` is the root mean square difference of the logits, relative to their deviation; `classes` says of each
    class of the float32 network how much keeps its label.
    """

    label_agreement: float
    logits_error: float
    classes: tuple[ClassRecall, ...]

    def is_within(self, budget: Budget) -> bool:
        """Whether nothing is lost beyond the budget."""
        return self._is_within(budget, share=1.0, class_share=1.0)

    def is_safely_within(self, budget: Budget) -> bool:
        """Whether so little is lost that other frames will not lose more than the budget."""
        return self._is_within(budget, share=SAFE_SHARE, class_share=SAFE_CLASS_SHARE)

    def _is_within(self, budget: Budget, *, share: float, class_share: float) -> bool:
        return (
            _lost(self.label_agreement) <= share * _lost(budget.min_label_agreement)
            and self.logits_error <= share * budget.max_logits_error
            and all(
                _lost(entry.recall)
                <= class_share * _lost(budget.min_rare_recall if entry.is_rare else budget.min_class_recall)
                for entry in self.classes
                if entry.recall is not None
            )
        )

    def rank(self, budget: Budget) -> tuple[bool, bool, float, float]:
        """The more the better: what keeps its budget before what agrees a little more and loses a class."""
        return (
            self.is_safely_within(budget),
            self.is_within(budget),
            self.label_agreement,
            -self.logits_error,
        )

    @property
    def worst_recall(self) -> float | None:
        """Of the class that loses most; None where no class has pixels enough."""
        return min((entry.recall for entry in self.classes if entry.recall is not None), default=None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """How ranges are taken and which layers stay in float, and what that costs."""

    method: RangeMethod
    float_layers: tuple[str, ...]
    losses: Losses


def compare(expected: Sequence[LabelsAndLogits], got: Iterator[LabelsAndLogits], num_classes: int) -> Losses:
    """What a network loses against the float32 one, frame by frame of the same frames."""
    matrix = ConfusionMatrix(num_classes)
    squares = []
    for (labels, logits), (got_labels, got_logits) in zip(expected, got, strict=True):
        matrix.update(labels, got_labels)
        squares.append(np.square(logits - got_logits, dtype=np.float64).mean())
    deviation = float(np.std(np.stack([logits for _, logits in expected]), dtype=np.float64))
    return Losses(
        label_agreement=float(np.trace(matrix.counts) / matrix.counts.sum()),
        logits_error=float(np.sqrt(np.mean(squares)) / deviation),
        classes=class_recalls(matrix.counts),
    )


def _lost(kept: float) -> float:
    return 1.0 - kept
