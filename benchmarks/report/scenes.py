"""The frames that the report shows, with what both networks say of them: chosen by place, and by gain for the extremes.

Labels are opened where the run names a labelled test set, and decide nothing but which frames are shown and what is
said below them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.report.networks import Networks, predict
from benchmarks.report.not_there import NotThereError
from benchmarks.report.spread import spread
from runtime.command import progress
from runtime.errors import DataError
from runtime.labels import IGNORE_INDEX
from training.config import TrainingConfig
from training.data.frames import Frames, LabelledFrames
from training.data.open import open_frames, open_labelled_frames

__all__ = ["Looked", "Scene", "choose", "look"]

LOOKED_AT = 24
"""Frames that both networks see; those that are shown are among them."""
SHOWN = 4
"""Evenly spread among the rest, besides the one on top and the two extremes."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame (H, W, 3) with its labels (H, W): the source network's, the adapted one's, and the true ones.

    `why` says why it is shown. `right` are the shares of labelled pixels that are right before and after; None where
    there is no truth.
    """

    name: str
    image: NDArray[np.uint8]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    why: str = ""

    @property
    def right(self) -> tuple[float, float] | None:
        """Shares of labelled pixels that are right, before and after."""
        if self.truth is None or not (counted := self.truth != IGNORE_INDEX).any():
            return None
        before, after = (float((labels == self.truth)[counted].mean()) for labels in (self.before, self.after))
        return before, after

    @property
    def gain(self) -> float:
        """By how much the share of right pixels grew; 0 without a truth."""
        return 0.0 if self.right is None else self.right[1] - self.right[0]


@dataclass(frozen=True, slots=True)
class Looked:
    """The scene on top and those below it; `num_looked_at` frames were candidates, of `num_frames`."""

    top: Scene
    others: tuple[Scene, ...]
    num_looked_at: int
    num_frames: int
    is_labelled: bool


def look(training: TrainingConfig, networks: Networks) -> Looked:
    """Show frames to both networks and choose some of them.

    Raises:
        NotThereError: the frames are not where the run found them.
    """
    try:
        frames, labelled = _open(training, networks)
        chosen = spread(len(frames), LOOKED_AT)
        scenes = [_scene(frames, labelled, index, networks) for index in progress(chosen, title="scenes", unit="frame")]
    except DataError as error:
        raise NotThereError(f"The frames of the run cannot be read: {error}.") from error
    top, others = choose(scenes)
    return Looked(top, tuple(others), len(scenes), len(frames), labelled is not None)


def _open(training: TrainingConfig, networks: Networks) -> tuple[Frames, LabelledFrames | None]:
    if training.target.test is None:
        return open_frames(training.target.adapt), None
    labelled = open_labelled_frames(training.target.test, networks.spec.label_space)
    return labelled, labelled


def _scene(frames: Frames, labelled: LabelledFrames | None, index: int, networks: Networks) -> Scene:
    image = frames.image(index)
    before, after = (
        predict(network, networks.spec, image, networks.compute) for network in (networks.source, networks.adapted)
    )
    return Scene(frames.name(index), image, before, after, None if labelled is None else labelled.label(index))


def choose(scenes: list[Scene]) -> tuple[Scene, list[Scene]]:
    """The scene on top, which is as typical as can be said, and others in the order of their frames."""
    if all(scene.right is None for scene in scenes):
        top, top_why, extremes = len(scenes) // 2, "in the middle of the frames", {}
    else:
        by_gain = sorted(range(len(scenes)), key=lambda index: scenes[index].gain)
        top, top_why = by_gain[len(by_gain) // 2], "median gain"
        extremes = {by_gain[-1]: "greatest gain", by_gain[0]: "smallest gain"}
        extremes.pop(top, None)
    rest = [index for index in range(len(scenes)) if index != top and index not in extremes]
    picked = {**extremes, **{rest[place]: "evenly spread" for place in spread(len(rest), SHOWN)}}
    others = [replace(scenes[index], why=why) for index, why in sorted(picked.items())]
    return replace(scenes[top], why=top_why), others
