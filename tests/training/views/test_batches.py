"""Batches as a pure function of (seed, step): which frames, which crops, and that loaders change nothing."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from runtime.images import write_png
from training.config import AdaptationConfig, ViewConfig
from training.data.layouts import folder_images
from training.device import Compute
from training.labels.importance import ImportanceMaps
from training.labels.pseudo_labels import PseudoLabels
from training.methods.iapc import IapcConfig
from training.views.batch import TargetBatch
from training.views.batches import TargetBatches, load_batches

MakeBatches = Callable[..., TargetBatches]


@pytest.fixture
def make_batches(tmp_path: Path, make_frames: Callable[..., Path]) -> MakeBatches:
    """Batches of 2 out of 5 frames; pseudo-labels are the red channel in eight steps, importance is the green one."""
    frames = folder_images(make_frames(tmp_path / "frames", count=5))
    labels, importance = PseudoLabels(tmp_path / "labels"), ImportanceMaps(tmp_path / "importance")
    labels.folder.mkdir()
    importance.folder.mkdir()
    for index in range(5):
        write_png(labels.path(index), (frames.image(index)[..., 0] // 32).astype(np.uint8))
        write_png(importance.path(index), np.ascontiguousarray(frames.image(index)[..., 1]))

    def make(
        *,
        seed: int = 0,
        scale: tuple[float, float] = (0.8, 1.2),
        photometric: bool = True,
        is_judged_once: bool = False,
        view: Literal["frame", "crop"] = "crop",
    ) -> TargetBatches:
        config = AdaptationConfig(
            method=IapcConfig(name="iapc", importance_view=view),
            views=ViewConfig(train_hw=(64, 96), scale=scale, crop_hw=(32, 48)),
            memory_hw=(64, 96),
            min_classes=8,
            photometric=photometric,
            iterations=10,
            batch_size=2,
        )
        return TargetBatches(frames, labels, importance if is_judged_once else None, config, seed)

    return make


def same(first: TargetBatch, second: TargetBatch) -> bool:
    """Whether two batches have the same names and views, and lack the same."""
    views, others = (
        {name: view for name, view in batch._asdict().items() if isinstance(view, torch.Tensor)}
        for batch in (first, second)
    )
    has_same_views = views.keys() == others.keys() and all(
        torch.equal(view, others[name]) for name, view in views.items()
    )
    return first.names == second.names and has_same_views


def weak_of(batch: TargetBatch) -> torch.Tensor:
    assert batch.weak is not None
    return batch.weak


def memory_of(batch: TargetBatch) -> torch.Tensor:
    assert batch.memory is not None
    return batch.memory


def test_batch_has_three_views_of_its_frames_and_their_labels(make_batches: MakeBatches) -> None:
    batch = make_batches()[0]
    assert len(batch.names) == 2
    for view in (memory_of(batch), weak_of(batch), batch.student):
        assert (view.shape, view.dtype) == ((2, 32, 48, 3), torch.uint8)
    assert (batch.pseudo_labels.shape, batch.pseudo_labels.dtype) == ((2, 32, 48), torch.int64)


def test_same_step_gives_the_same_batch_and_seed_and_step_change_it(make_batches: MakeBatches) -> None:
    assert same(make_batches()[3], make_batches()[3])
    assert not same(make_batches()[3], make_batches()[4])
    assert not same(make_batches()[3], make_batches(seed=1)[3])


def test_every_frame_comes_once_before_any_comes_again(make_batches: MakeBatches) -> None:
    batches = make_batches()
    names = [name for step in range(10) for name in batches[step].names]
    for epoch in range(4):
        assert Counter(names[epoch * 5 : epoch * 5 + 5]) == {f"{number:03d}.png": 1 for number in range(5)}
    assert names[:5] != names[5:10]


def test_labels_lie_where_the_weak_view_shows_them(make_batches: MakeBatches) -> None:
    """At scale 1 nothing is resampled, so the labels are still the red channel in eight steps."""
    batches = make_batches(scale=(1.0, 1.0))
    for step in range(4):
        batch = batches[step]
        assert torch.equal(batch.pseudo_labels, (weak_of(batch)[..., 0] // 32).long())


def test_memory_view_shows_the_same_place_at_its_own_scale(make_batches: MakeBatches) -> None:
    batch = make_batches(scale=(1.0, 1.0))[0]
    assert torch.equal(memory_of(batch), weak_of(batch))
    larger = make_batches(scale=(1.2, 1.2))[0]
    assert not torch.equal(memory_of(larger), weak_of(larger))


def test_student_view_differs_from_the_weak_view_in_colour_alone(make_batches: MakeBatches) -> None:
    plain, changed = make_batches(photometric=False)[0], make_batches()[0]
    assert torch.equal(plain.student, weak_of(plain))
    assert torch.equal(weak_of(plain), weak_of(changed))
    assert not torch.equal(changed.student, weak_of(changed))


def test_a_frame_is_cropped_anew_each_time_it_comes_back(make_batches: MakeBatches) -> None:
    batches = make_batches()
    seen: dict[tuple[str, int], list[torch.Tensor]] = {}
    for step in range(10):
        batch = batches[step]
        for place, name in enumerate(batch.names):
            seen.setdefault((name, place), []).append(weak_of(batch)[place])
    returned = [views for views in seen.values() if len(views) > 1]
    assert returned
    assert all(not torch.equal(views[0], views[1]) for views in returned)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loader_processes_do_not_change_the_batches(make_batches: MakeBatches, workers: int) -> None:
    batches = make_batches()
    loaded = list(load_batches(batches, 2, 6, workers=workers))
    assert [step for step, _ in loaded] == [2, 3, 4, 5]
    assert all(same(batch, batches[step]) for step, batch in loaded)


def test_batch_with_importance_has_no_source_view_and_the_same_others(make_batches: MakeBatches) -> None:
    for step in range(4):
        batch, plain = make_batches(is_judged_once=True, view="frame")[step], make_batches()[step]
        assert plain.importance is None
        assert batch.weak is None
        assert batch.importance is not None
        assert (batch.importance.shape, batch.importance.dtype) == ((2, 32, 48), torch.uint8)
        assert same(batch, plain._replace(weak=None, importance=batch.importance))


def test_importance_lies_where_the_weak_view_shows_it(make_batches: MakeBatches) -> None:
    """At scale 1 nothing is resampled, so the importance is still the green channel."""
    for step in range(4):
        batch = make_batches(scale=(1.0, 1.0), is_judged_once=True)[step]
        assert batch.importance is not None
        assert torch.equal(batch.importance, weak_of(make_batches(scale=(1.0, 1.0))[step])[..., 1])


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_processes_carry_what_is_absent(make_batches: MakeBatches, workers: int) -> None:
    batches = make_batches(is_judged_once=True)
    assert all(same(batch, batches[step]) for step, batch in load_batches(batches, 2, 5, workers=workers))


def test_absent_view_stays_absent_when_moved(make_batches: MakeBatches, compute: Compute) -> None:
    batch = make_batches(is_judged_once=True, view="frame")[0]
    moved = compute.move(batch)
    assert moved.weak is None
    assert same(moved, batch)
