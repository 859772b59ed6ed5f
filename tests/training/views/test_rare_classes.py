"""Rare-class sampling: how likely a class is, and which frames come."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from runtime.errors import DataError
from runtime.images import write_png
from training.config import AdaptationConfig, ViewConfig
from training.labels.pseudo_labels import PseudoLabels
from training.methods.daformer import DaformerConfig
from training.views.batches import TargetBatches
from training.views.rare_classes import RareClasses, class_probabilities


class Painted:
    """Frames of one class each, but for one in ten, whose lower half is of class 1; counts how many labels are read."""

    def __init__(self, count: int, *, base: int = 0) -> None:
        self.count, self.base, self.num_read = count, base, 0

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{index:03d}"

    def hw(self, index: int) -> tuple[int, int]:
        return 16, 24

    def image(self, index: int) -> NDArray[np.uint8]:
        return np.full((16, 24, 3), index % 251, dtype=np.uint8)

    def label(self, index: int) -> NDArray[np.uint8]:
        self.num_read += 1
        label = np.full((16, 24), self.base, dtype=np.uint8)
        if index % 10 == 3 and self.base == 0:
            label[8:] = 1
        return label


def test_probabilities_fall_with_frequency_and_absent_classes_have_none() -> None:
    # exp(-0.2 / 0.1) against exp(-0.8 / 0.1): a ratio of e^6.
    found = class_probabilities(np.array([0.2, 0.0, 0.8]), 0.1)
    assert found.tolist() == pytest.approx([1 / (1 + math.exp(-6)), 0.0, math.exp(-6) / (1 + math.exp(-6))])


def test_frames_with_a_rare_class_come_much_more_often() -> None:
    rare = RareClasses(Painted(50), 0.01)
    drawn = Counter(rare.draw(np.random.default_rng(seed)) % 10 == 3 for seed in range(300))
    # Class 1 is drawn nearly always, and then 1 - 0.9^10 = 65 % of the frames show it, instead of 10 %.
    assert 0.5 < drawn[True] / 300 < 0.8


def test_frame_is_a_function_of_its_generator_alone() -> None:
    one, other = RareClasses(Painted(50), 0.01), RareClasses(Painted(50), 0.01)
    other.draw(np.random.default_rng(9))
    assert one.draw(np.random.default_rng(4)) == other.draw(np.random.default_rng(4))


def test_no_more_than_a_sample_is_counted_and_that_once() -> None:
    frames = Painted(5000)
    rare = RareClasses(frames, 0.01)
    assert frames.num_read == 0
    assert rare.probabilities[:2].sum() == pytest.approx(1)
    assert frames.num_read == 200
    rare.draw(np.random.default_rng(0))
    assert frames.num_read <= 210


def test_frames_without_a_label_are_refused() -> None:
    with pytest.raises(DataError, match="none of the 5 source frames whose classes were counted, 000 the first"):
        RareClasses(Painted(5, base=255), 0.01).draw(np.random.default_rng(0))


def batches_of(folder: Path, *, temperature: float | None) -> TargetBatches:
    """Two crops a step of five target frames, and of 40 source frames."""
    target, labels = Painted(5), PseudoLabels(folder)
    for index in range(5):
        write_png(labels.path(index), target.label(index))
    config = AdaptationConfig(
        method=DaformerConfig(name="daformer", rare_temperature=temperature),
        views=ViewConfig(train_hw=(16, 24), scale=(1.0, 1.0), crop_hw=(16, 24)),
        memory_hw=(16, 24),
        min_classes=1,
        iterations=10,
        batch_size=2,
    )
    return TargetBatches(target, labels, None, config, 0, source=Painted(40))


def source_names(batches: TargetBatches) -> list[str]:
    found = [batches[step].source for step in range(20)]
    return [name for source in found if source is not None for name in source.names]


def test_source_crops_of_a_step_are_of_frames_with_rare_classes(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, temperature=0.01)
    names = source_names(batches)
    assert sum(name[2] == "3" for name in names) > 15
    assert names == source_names(batches)
    first, again = batches[3].source, batches_of(tmp_path, temperature=0.01)[3].source
    assert first is not None
    assert again is not None
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels[:, 0, 0], torch.zeros(2, dtype=torch.int64))


def test_without_a_temperature_every_source_frame_comes_once_before_any_comes_again(tmp_path: Path) -> None:
    assert set(Counter(source_names(batches_of(tmp_path, temperature=None))).values()) == {1}
