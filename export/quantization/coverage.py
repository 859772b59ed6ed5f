"""Which frames calibrate: those in which the network sees everything it can see."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.frame_sets import TargetFrames
from export.quantization.sessions import labels_and_logits
from runtime.command import say

__all__ = ["calibration_frames", "choose_covering", "hash_of"]


def calibration_frames(
    model: Any, candidates: TargetFrames, number: int, *, num_classes: int, class_names: Sequence[str] = ()
) -> TargetFrames:
    """Choose the frames that calibrate by what the float32 network predicts on the candidates; labels are not used.

    Args:
        model: the float32 ONNX model.
        candidates: frames to choose from.
        number: how many to choose; all where there are fewer.
        num_classes: of the label maps.
        class_names: for the message on classes that no candidate shows; numbers are told without.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    runs = labels_and_logits(model, candidates, title="classes on candidates")
    counts = np.stack([np.bincount(labels.ravel(), minlength=num_classes) for labels, _ in runs])
    missing = [int(index) for index in np.flatnonzero(counts.sum(axis=0) == 0)]
    if missing:
        names = ", ".join(class_names[index] if class_names else str(index) for index in missing)
        say(f"INT8 is calibrated without {names}: the network predicts none of them on {len(candidates)} candidates")
    return candidates.some(choose_covering(counts, number))


def choose_covering(counts: NDArray[np.integer[Any]], number: int) -> tuple[int, ...]:
    """Choose frames so that every class that occurs is well visible in one of them.

    From the rarest class on, the frame with the most of its pixels is taken, if it is not yet; what is left of the
    number is spread evenly over the other frames, so that the common look of the data is there too.

    Args:
        counts: (frames, classes) pixels.
        number: how many frames; all where there are fewer.

    Returns:
        Rows of `counts`, ascending.
    """
    totals = counts.sum(axis=0)
    chosen: set[int] = set()
    for index in np.argsort(totals, kind="stable"):
        if totals[index] and len(chosen) < number:
            chosen.add(int(np.argmax(counts[:, index])))
    others = [row for row in range(len(counts)) if row not in chosen]
    num_others = min(number - len(chosen), len(others))
    if num_others:
        places = np.linspace(0, len(others) - 1, num=num_others, dtype=int)
        chosen.update(others[place] for place in places)
    return tuple(sorted(chosen))


def hash_of(frames: Iterable[NDArray[np.uint8]]) -> str:
    """SHA-256 of frames' pixels in their order, in hexadecimal."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(str(frame.shape).encode())
        digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()
