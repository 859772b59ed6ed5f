"""ONNX Runtime sessions that also give tensors from inside the graph, for measuring."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.frame_sets import TargetFrames
from export.onnx_graph import LOGITS, with_output
from runtime.command import progress

__all__ = ["LabelsAndLogits", "labels_and_logits", "open_session"]

LabelsAndLogits = tuple[NDArray[np.uint8], NDArray[np.float32]]


def open_session(model: bytes) -> Any:
    """A session on the CPU."""
    options = onnxruntime.SessionOptions()
    # Errors alone: it warns of every tensor that is asked for and could otherwise be fused away.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def labels_and_logits(model: Any, frames: TargetFrames, *, title: str) -> Iterator[LabelsAndLogits]:
    """Labels (H, W) and low-resolution logits (C, h, w) of each frame.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    session = open_session(with_output(model.SerializeToString(), LOGITS))
    for frame in progress(frames, title=title, unit="frame", total=len(frames)):
        labels, logits = session.run(["labels", LOGITS], {"frame": frame})
        yield labels[0], logits[0]
