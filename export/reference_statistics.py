"""What the target domain looks like to the network, for the vehicle to notice when it no longer does."""

import numpy as np

from export.engines import TorchBackend
from export.frame_sets import TargetFrames
from export.frozen import Frozen
from runtime.command import progress
from runtime.drift.features import describe, features_of
from runtime.drift.reference import Reference, reference_of

__all__ = ["reference_statistics"]


def reference_statistics(frozen: Frozen, frames: TargetFrames) -> Reference:
    """Run the deploy graph in PyTorch on unlabelled frames and sum up the features of frames and outputs.

    Artefacts differ from it by less than frames differ among themselves: all of them are served with one reference.

    Args:
        frozen: the network.
        frames: in the order in which they were taken.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    backend, classes = TorchBackend(frozen.network), frozen.spec.label_space.names
    rows = []
    for frame in progress(frames, title="reference statistics", unit="frame", total=len(frames)):
        labels, confidence = backend.infer(frame)
        rows.append(features_of(frame[0], labels[0], confidence[0], len(classes)))
    return reference_of(np.stack(rows), [feature.key for feature in describe(classes)])
