"""What a training step sees, as a pure function of the step.

Order, crops and colours come from (seed, step, place in the batch), never from a running generator: a run can be
killed at any step and resumed, with any number of loader processes, and sees the same batches.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.config import AdaptationConfig, TrainedSource
from training.data.frames import Frames, LabelledFrames
from training.distributed import ALONE, World
from training.labels.importance import ImportanceMaps
from training.labels.pseudo_labels import PseudoLabels
from training.views.batch import Batch, SourceBatch, TargetBatch
from training.views.crops import class_rich_crop, crop_image, crop_labels, crop_map, draw_crop, proportional_crop
from training.views.photometric import auto_augment, colour_jitter
from training.views.rare_classes import RareClasses

__all__ = ["SourceBatches", "TargetBatches", "load_batches"]

# Fourth word of a generator's seed: an order and crops of their own. With 0 there, a generator is as if it had three.
CLEAN = 1
SOURCE = 2


class SourceBatches(Dataset[SourceBatch]):
    """Batch of a supervised step, by step."""

    def __init__(self, frames: LabelledFrames, config: TrainedSource, seed: int, world: World = ALONE) -> None:
        """Keep what a step needs; nothing is read yet."""
        self.frames, self.config, self.seed = frames, config, seed
        self.places = world.places(config.batch_size)

    def __getitem__(self, step: int) -> SourceBatch:
        """The batch of one step, or this process's places of it."""
        views = self.config.views
        indices = _frame_order(len(self.frames), self.config.batch_size, self.seed, step)
        images, labels = [], []
        for place in self.places:
            index, rng = indices[place], np.random.default_rng([self.seed, step, place])
            crop = draw_crop(
                rng, train_hw=views.train_hw, scale=views.scale, crop_hw=views.crop_hw, mirror=views.mirror
            )
            cut = crop_image(self.frames.image(index), crop)
            images.append(colour_jitter(rng, cut, self.config.colour_jitter))
            labels.append(crop_labels(self.frames.label(index), crop))
        names = [self.frames.name(indices[place]) for place in self.places]
        return SourceBatch(names, _stack(images), _stack(labels).long())


class TargetBatches(Dataset[TargetBatch]):
    """Batch of an adaptation step, by step."""

    def __init__(
        self,
        frames: Frames,
        pseudo_labels: PseudoLabels,
        importance: ImportanceMaps | None,
        config: AdaptationConfig,
        seed: int,
        world: World = ALONE,
        *,
        source: LabelledFrames | None = None,
    ) -> None:
        """Keep what a step needs; nothing is read yet."""
        self.frames, self.pseudo_labels, self.importance = frames, pseudo_labels, importance
        self.source = source
        self.config, self.seed, self.places = config, seed, world.places(config.batch_size)
        self.needs = config.method.needs
        temperature = self.needs.rare_temperature
        self._rare = None if source is None or temperature is None else RareClasses(source, temperature)

    def __getitem__(self, step: int) -> TargetBatch:
        """The batch of one step, or this process's places of it."""
        indices = _frame_order(len(self.frames), self.config.batch_size, self.seed, step)
        views = [self._views(np.random.default_rng([self.seed, step, place]), indices[place]) for place in self.places]
        names = [self.frames.name(indices[place]) for place in self.places]
        memory, weak, student, labels, importance = zip(*views, strict=True)
        return TargetBatch(
            names,
            memory=_stack(memory) if self.needs.memory else None,
            weak=_stack(weak) if self.needs.weak else None,
            student=_stack(student),
            pseudo_labels=_stack(labels).long(),
            importance=None if self.importance is None else _stack(importance),
            clean=self._clean(step),
            source=self._source(step),
        )

    def _source(self, step: int) -> SourceBatch | None:
        """Labelled source crops of a step, cut like those of the target, their colours unchanged.

        Of frames in an order, or, if the method wants rare classes, drawn for each place.
        """
        if self.source is None:
            return None
        views, names, images, labels = self.config.views, [], [], []
        indices = _frame_order(len(self.source), self.config.batch_size, self.seed, step, SOURCE)
        for place in self.places:
            rng = np.random.default_rng([self.seed, step, place, SOURCE])
            index = indices[place] if self._rare is None else self._rare.draw(rng)
            crop = draw_crop(
                rng, train_hw=views.train_hw, scale=views.scale, crop_hw=views.crop_hw, mirror=views.mirror
            )
            crop, label = class_rich_crop(rng, self.source.label(index), crop, min_classes=self.config.min_classes)
            names.append(self.source.name(index))
            images.append(crop_image(self.source.image(index), crop))
            labels.append(label)
        return SourceBatch(names, _stack(images), _stack(labels).long())

    def _clean(self, step: int) -> Tensor | None:
        """Unchanged crops of a step, of frames that come in an order of their own."""
        if self.config.clean_forward is None:
            return None
        frame_hw, crop_hw = self.config.clean_forward.frame_hw, self.config.views.crop_hw
        indices = _frame_order(len(self.frames), self.config.batch_size, self.seed, step, CLEAN)
        crops = []
        for place in self.places:
            rng = np.random.default_rng([self.seed, step, place, CLEAN])
            crop = draw_crop(rng, train_hw=frame_hw, scale=(1.0, 1.0), crop_hw=crop_hw, mirror=0.0)
            crops.append(crop_image(self.frames.image(indices[place]), crop))
        return _stack(crops)

    def _views(self, rng: np.random.Generator, index: int) -> tuple[NDArray[np.uint8], ...]:
        """Memory, weak and student view, labels and importance of one frame; unused ones are empty."""
        views = self.config.views
        image, labels = self.frames.image(index), self.pseudo_labels.label(index)
        crop = draw_crop(rng, train_hw=views.train_hw, scale=views.scale, crop_hw=views.crop_hw, mirror=views.mirror)
        crop, label = class_rich_crop(rng, labels, crop, min_classes=self.config.min_classes)
        # Changed before cropping, as in the authors' code: equalize and autocontrast then see the whole frame.
        changed = auto_augment(rng, image) if self.config.photometric else image
        student, unused = crop_image(changed, crop), np.empty(0, dtype=np.uint8)
        memory = crop_image(image, proportional_crop(crop, self.config.memory_hw)) if self.needs.memory else unused
        weak = crop_image(image, crop) if self.needs.weak else unused
        importance = unused if self.importance is None else crop_map(self.importance.importance(index), crop)
        return memory, weak, student, label, importance


Item = TypeVar("Item", bound=Batch)


def load_batches(batches: Dataset[Item], first: int, last: int, *, workers: int) -> Iterator[tuple[int, Item]]:
    """Steps `first` to `last` - 1 with their batches, prepared ahead by `workers` processes (0: by this one)."""
    steps = range(first, last)
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    yield from zip(steps, loader, strict=True)


def _frame_order(num_frames: int, batch_size: int, seed: int, step: int, stream: int = 0) -> list[int]:
    """Frame indices of a step's batch: consecutive places in an endless row of permutations of all frames."""
    places = range(step * batch_size, (step + 1) * batch_size)
    epochs = {place // num_frames for place in places}
    orders = {epoch: np.random.default_rng([seed, epoch, 0, stream]).permutation(num_frames) for epoch in epochs}
    return [int(orders[place // num_frames][place % num_frames]) for place in places]


def _stack(arrays: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
