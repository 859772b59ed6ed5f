"""What the contenders of `adapt` are shown: rendered street frames, the same for all."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from training.data.config import StreetsConfig
from training.data.open import open_labelled_frames
from training.views.photometric import auto_augment

__all__ = ["StepViews", "draw_views"]

NUM_FRAMES = 8


@dataclass(frozen=True, slots=True)
class StepViews:
    """`source`, `student` (N, H, W, 3) uint8 and `labels` (N, H, W) int64 of a few frames; steps take turns.

    The frame is the crop: importance of the frame and of the crop are then the same but for rounding, so that the
    contenders' losses can be compared.
    """

    source: Tensor
    student: Tensor
    labels: Tensor
    batch_size: int

    def places(self, index: int) -> list[int]:
        """Frames of a step."""
        return [(index * self.batch_size + place) % len(self.labels) for place in range(self.batch_size)]

    def of_step(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Source, memory, student and clean view and pseudo-labels of a step."""
        places = self.places(index)
        source = self.source[places]
        return source, source, self.student[places], self.source[self.places(index + 1)], self.labels[places]


def draw_views(config: AdaptationBenchmarkConfig) -> StepViews:
    """Render the frames; their true labels stand in for pseudo-labels."""
    height, width = config.crop_hw
    streets = StreetsConfig(layout="streets", domain="target", first=0, count=NUM_FRAMES, height=height, width=width)
    frames = open_labelled_frames(streets, config.label_space)
    images = [frames.image(index) for index in range(len(frames))]
    # A step has no ignored pixels: pseudo-labels are dense.
    last = config.label_space.num_classes - 1
    labels = [np.minimum(frames.label(index), last) for index in range(len(frames))]
    changed = [auto_augment(np.random.default_rng([config.seed, index]), image) for index, image in enumerate(images)]
    return StepViews(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(changed)),
        torch.from_numpy(np.stack(labels)).long(),
        config.batch_size,
    )
