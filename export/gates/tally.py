"""Counts, frame by frame, where an artefact's labels differ from PyTorch's, and says what of it no budget excuses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.gates.recalls import MIN_CLASS_PIXELS, class_recalls
from runtime.bundle.manifest import ClassParity, Parity
from runtime.metrics import ConfusionMatrix

__all__ = [
    "Confusion",
    "FrameDifference",
    "LabelledTally",
    "Tally",
    "is_finite",
]

SHOWN_FRAMES = 3
"""Frames kept for the picture, those with the most differing pixels."""
SHOWN_CONFUSIONS = 8

Maps = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """A frame (H, W, 3) and two label maps (H, W) of it; `index` is its place among the gate's frames."""

    index: int
    frame: Maps
    expected: Maps
    got: Maps


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pixels that PyTorch calls `expected` and the artefact `got`, both train ids; `share` is of PyTorch's pixels."""

    expected: int
    got: int
    num_pixels: int
    share: float


class LabelledTally:
    """Labels of one engine against the truth."""

    def __init__(self, num_classes: int) -> None:
        """Start with no pixel counted; ids that are no class are counted as one class more."""
        self._num_classes = num_classes
        self._matrix = ConfusionMatrix(num_classes + 1)

    def add(self, truth: Maps, labels: Maps) -> None:
        """Count one frame, (H, W) both."""
        self._matrix.update(truth, np.minimum(labels, self._num_classes))

    @property
    def miou(self) -> float | None:
        """Mean IoU in percent over the classes that the truth has; None where it has none.

        Not over all that are predicted: a single stray pixel of another class would put a zero into the mean of one
        engine and not into the other's.
        """
        present = np.flatnonzero(self._matrix.counts.sum(axis=1)).tolist()
        return self._matrix.miou(present) if present else None

    def iou(self) -> NDArray[np.float64]:
        """IoU of each class in percent, (C,); NaN where the truth has fewer than `MIN_CLASS_PIXELS` of it."""
        is_judged = self._matrix.counts.sum(axis=1) >= MIN_CLASS_PIXELS
        return np.where(is_judged, self._matrix.iou() * 100, np.nan)[: self._num_classes]


class Tally:
    """Labels and confidence of one engine against PyTorch's, in whole pixels: a share near 1 must not become 1."""

    def __init__(self, num_classes: int) -> None:
        """Start with no frame counted."""
        self._num_classes = num_classes
        self._matrix = ConfusionMatrix(num_classes + 1)
        self._num_differing: list[int] = []
        self._max_difference = self._highest_id = self._num_not_finite = 0
        self._expected_maps: set[bytes] = set()
        self._got_maps: set[bytes] = set()
        self._shown: list[FrameDifference] = []

    def add(self, frame: Maps, expected: tuple[Maps, Maps], got: tuple[Maps, Maps]) -> None:
        """Count one frame.

        Args:
            frame: (H, W, 3), kept where it is among the worst.
            expected: PyTorch's labels and confidence, (H, W).
            got: the artefact's; copied where they are kept.
        """
        labels, confidence = got
        self._matrix.update(expected[0], np.minimum(labels, self._num_classes))
        self._num_differing.append(int(np.count_nonzero(labels != expected[0])))
        difference = np.abs(confidence.astype(np.int16) - expected[1].astype(np.int16))
        self._max_difference = max(self._max_difference, int(difference.max()))
        self._highest_id = max(self._highest_id, int(labels.max()))
        self._num_not_finite += not is_finite(confidence, self._num_classes)
        self._expected_maps.add(hashlib.sha256(expected[0].tobytes()).digest())
        self._got_maps.add(hashlib.sha256(labels.tobytes()).digest())
        if self._num_differing[-1]:
            shown = FrameDifference(len(self._num_differing) - 1, frame, expected[0], labels.copy())
            ranked = sorted([*self._shown, shown], key=lambda one: self._num_differing[one.index], reverse=True)
            self._shown = ranked[:SHOWN_FRAMES]

    @property
    def agreement(self) -> float:
        """Share of all pixels with PyTorch's label."""
        num_pixels = int(self._matrix.counts.sum())
        return (num_pixels - sum(self._num_differing)) / num_pixels

    @property
    def differences(self) -> tuple[FrameDifference, ...]:
        """The frames with the most differing pixels, worst first; none that agrees wholly."""
        return tuple(self._shown)

    def agreement_on(self, indices: Sequence[int], num_pixels: int) -> float:
        """Share of pixels with PyTorch's label on some of the frames, of `num_pixels` each."""
        total = num_pixels * len(indices)
        return (total - sum(self._num_differing[index] for index in indices)) / total

    def confusions(self) -> tuple[Confusion, ...]:
        """The classes most confused, most pixels first; ids that are no class are left out."""
        counts = self._matrix.counts[: self._num_classes, : self._num_classes]
        rows = counts.sum(axis=1)
        pairs = [
            Confusion(int(a), int(b), int(counts[a, b]), float(counts[a, b] / rows[a]))
            for a, b in np.argwhere(counts)
            if a != b
        ]
        return tuple(sorted(pairs, key=lambda pair: pair.num_pixels, reverse=True)[:SHOWN_CONFUSIONS])

    def parity(
        self,
        engine: str,
        names: Sequence[str],
        *,
        logits_error: float | None = None,
        truths: tuple[LabelledTally, LabelledTally] | None = None,
    ) -> Parity:
        """The manifest's entry.

        Args:
            engine: what ran the artefact.
            names: of the classes.
            logits_error: where it was measured.
            truths: PyTorch and the artefact against the truth, where there is one.
        """
        classes = class_recalls(self._matrix.counts[: self._num_classes])
        rare = [entry.recall for entry in classes if entry.recall is not None and entry.is_rare]
        before, after = (None, None) if truths is None else (truths[0].miou, truths[1].miou)
        changes = [None] * self._num_classes if truths is None else _changes(truths[1].iou() - truths[0].iou())
        return Parity(
            engine=engine,
            num_frames=len(self._num_differing),
            label_agreement=self.agreement,
            max_confidence_difference=self._max_difference,
            logits_error=logits_error,
            rare_recall=min(rare, default=None),
            miou=after,
            miou_change=None if before is None or after is None else after - before,
            classes=tuple(
                ClassParity(name=name, share=entry.share, recall=entry.recall, iou_change=change)
                for name, entry, change in zip(names, classes, changes, strict=True)
            ),
        )

    def problems(self, names: Sequence[str]) -> list[str]:
        """What no budget excuses, in a sentence each."""
        counts = self._matrix.counts
        num_frames = len(self._num_differing)
        problems = []
        if self._num_not_finite:
            problems.append(
                f"its confidence is not finite on {self._num_not_finite} of {num_frames} frames, expected at least "
                f"{_least_confidence(self._num_classes)} of 255 at every pixel; the network overflows there"
            )
        if self._highest_id >= self._num_classes:
            problems.append(f"it gives class id {self._highest_id}, expected ids below {self._num_classes}")
        given, wanted = (np.flatnonzero(counts.sum(axis=axis)) for axis in (0, 1))
        if len(given) == 1 and len(wanted) > 1:
            only = [*names, "a class that does not exist"][given[0]]
            problems.append(f"its output is constant: {only!r} everywhere, where PyTorch gives {len(wanted)} classes")
        elif len(self._got_maps) == 1 and len(self._expected_maps) > 1:
            problems.append(
                f"its output is frozen: one label map for all {num_frames} frames, where PyTorch gives "
                f"{len(self._expected_maps)} different ones"
            )
        problems += [
            f"it gives {names[b]!r} where PyTorch says {names[a]!r}, and the reverse; expected the classes in the "
            "manifest's order: two of them are swapped"
            for a, b in self._swapped()
        ]
        return problems

    def _swapped(self) -> list[tuple[int, int]]:
        """Pairs of classes of which each is mostly called by the other's name."""
        counts = self._matrix.counts[: self._num_classes, : self._num_classes]
        rows = self._matrix.counts.sum(axis=1)[: self._num_classes, np.newaxis]
        mostly = (counts * 2 > rows) & (rows >= MIN_CLASS_PIXELS)
        return [(int(a), int(b)) for a, b in np.argwhere(mostly & mostly.T) if a < b]


def is_finite(confidence: Maps, num_classes: int) -> bool:
    """Whether a confidence map can have come from finite logits.

    The largest of C probabilities is at least 1 / C; less is a NaN that became an integer.
    """
    return bool(confidence.min() >= _least_confidence(num_classes))


def _least_confidence(num_classes: int) -> int:
    return 255 // num_classes


def _changes(changes: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(change) else float(change) for change in changes]
