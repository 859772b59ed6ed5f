"""The gate: an artefact that does not say what PyTorch says on real target frames becomes no bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.backends import TorchBackend
from export.frozen import Frozen, TargetFrames
from runtime.backends import Backend
from runtime.command import progress, say
from runtime.errors import GateError
from runtime.manifest import Artefact, Parity

__all__ = ["Compared", "artefact_table", "check_parity", "compare"]

Maps = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Compared:
    """How each artefact did, by its name, and the golden frames with PyTorch's labels.

    `golden_frames` is (N, H, W, 3) RGB, `golden_labels` (N, H, W).
    """

    parities: Mapping[str, Parity]
    golden_frames: Maps
    golden_labels: Maps


def compare(
    frozen: Frozen, frames: TargetFrames, backends: Mapping[str, Backend], *, num_golden_frames: int
) -> Compared:
    """Run PyTorch (float32, CPU) and every artefact on the same frames.

    Args:
        frozen: the reference.
        frames: target frames.
        backends: the artefacts that run here, by name.
        num_golden_frames: how many to keep, spread evenly; all where there are fewer.

    Raises:
        DataError: a frame cannot be read, or has another size.
        GateError: the reference itself is not finite.
    """
    reference = TorchBackend(frozen.network)
    tallies = {name: _Tally() for name in backends}
    is_golden = np.zeros(len(frames), dtype=np.bool_)
    is_golden[np.linspace(0, len(frames) - 1, num=min(num_golden_frames, len(frames)), dtype=int)] = True
    golden, classes = [], set()
    bar = progress(frames, title="parity", unit="frame", total=len(frames))
    for frame, is_kept in zip(bar, is_golden, strict=True):
        expected = reference.infer(frame)
        _require_finite(expected[1], frozen.spec.space.num_classes)
        for name, backend in backends.items():
            tallies[name].add(expected, backend.infer(frame))
        classes.update(np.unique(expected[0]).tolist())
        if is_kept:
            golden.append((frame[0], expected[0][0]))
    if len(classes) == 1:
        only = frozen.spec.space.names[classes.pop()]
        say(f"warning: the network itself calls every pixel of every frame {only!r}; is this the right checkpoint?")
    golden_frames, golden_labels = (np.stack(arrays) for arrays in zip(*golden, strict=True))
    return Compared({name: tally.parity() for name, tally in tallies.items()}, golden_frames, golden_labels)


def check_parity(artefacts: Sequence[Artefact], *, min_label_agreement: float, max_confidence_difference: int) -> None:
    """Refuse artefacts outside the tolerances; those that could not be run are left to the runtime to refuse.

    Args:
        artefacts: with their parity.
        min_label_agreement: smallest share of pixels with PyTorch's label.
        max_confidence_difference: largest difference at any pixel, of 255.

    Raises:
        GateError: one is outside; the message has the figures of all.
    """
    failed = [
        artefact.file
        for artefact in artefacts
        if artefact.parity
        and (
            artefact.parity.label_agreement < min_label_agreement
            or artefact.parity.max_confidence_difference > max_confidence_difference
        )
    ]
    if failed:
        raise GateError(
            f"{', '.join(failed)}: other output than the PyTorch network on target frames; no bundle was written\n"
            f"{artefact_table(artefacts)}\n"
            f"expected label agreement >= {min_label_agreement} and confidence difference <= "
            f"{max_confidence_difference} of 255; use other versions of torch and onnxruntime, or, where the "
            "difference is harmless, change export.min_label_agreement or export.max_confidence_difference"
        )


def artefact_table(artefacts: Sequence[Artefact]) -> str:
    """File, size and parity of each artefact, as text for people."""
    width = max(len(artefact.file) for artefact in artefacts)
    lines = [f"{'artefact':<{width}} {'MB':>7}  {'label agreement':>15}  {'max confidence difference':>25}"]
    for artefact in artefacts:
        start = f"{artefact.file:<{width}} {artefact.num_bytes / 1e6:7.1f}"
        if artefact.parity is None:
            lines.append(f"{start}  not run: {artefact.not_run}")
        else:
            parity = artefact.parity
            lines.append(f"{start}  {parity.label_agreement:15.6f}  {parity.max_confidence_difference:25d}")
    return "\n".join(lines)


class _Tally:
    """Agreement over all frames so far, in whole pixels: a share near 1 must not be rounded to 1."""

    def __init__(self) -> None:
        self.num_frames = self.num_pixels = self.num_equal = self.max_difference = 0

    def add(self, expected: tuple[Maps, Maps], got: tuple[Maps, Maps]) -> None:
        """Count one frame: (labels, confidence) of the reference and of the artefact."""
        labels, confidence = got
        assert labels.shape == expected[0].shape
        self.num_frames += 1
        self.num_pixels += labels.size
        self.num_equal += int(np.count_nonzero(labels == expected[0]))
        difference = np.abs(confidence.astype(np.int16) - expected[1].astype(np.int16))
        self.max_difference = max(self.max_difference, int(difference.max()))

    def parity(self) -> Parity:
        return Parity(
            num_frames=self.num_frames,
            label_agreement=self.num_equal / self.num_pixels,
            max_confidence_difference=self.max_difference,
        )


def _require_finite(confidence: Maps, num_classes: int) -> None:
    # The largest of C probabilities is at least 1 / C; less is a NaN that became an integer.
    if confidence.min() < 255 // num_classes:
        raise GateError(
            "the PyTorch network's output is not finite on a target frame; no bundle was written; its weights or "
            "batch-norm statistics are damaged or far too large: adapt again, or give another checkpoint"
        )
