"""Clean crops: which frames they show, that nothing else moves for them, and that only statistics move by them."""

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.images import write_png
from training.__main__ import main
from training.checkpoint import NetworkSpec, load_network
from training.config import AdaptationConfig
from training.data.layouts import folder_images
from training.device import Compute
from training.distributed import ALONE, World
from training.labels.pseudo_labels import PseudoLabels
from training.methods.iapc import Iapc, IapcConfig
from training.methods.method import Setting
from training.networks.deeplab_v2 import DeepLabV2
from training.statistics.batch_norm import read_statistics
from training.views.batch import TargetBatch
from training.views.batches import TargetBatches

CROP_HW = (32, 48)
ADAPTATION: dict[str, Any] = {
    "method": {"name": "iapc", "importance_view": "crop"},
    "views": {"train_hw": [64, 96], "scale": [1.0, 1.2], "crop_hw": CROP_HW},
    "memory_hw": [64, 96],
    "min_classes": 2,
    "iterations": 10,
    "batch_size": 2,
}
CLEAN = {"clean_forward": {"frame_hw": [64, 96]}}


@pytest.fixture
def make_batches(tmp_path: Path, make_frames: Callable[..., Path]) -> Callable[..., TargetBatches]:
    frames = folder_images(make_frames(tmp_path / "frames", count=5))
    labels = PseudoLabels(tmp_path / "labels")
    labels.folder.mkdir()
    for index in range(5):
        write_png(labels.path(index), (frames.image(index)[..., 0] // 32).astype(np.uint8))

    def make(world: World = ALONE, **settings: Any) -> TargetBatches:
        config = AdaptationConfig.model_validate({**ADAPTATION, **settings})
        return TargetBatches(frames, labels, None, config, 0, world)

    return make


def frames_shown(batches: TargetBatches, clean: torch.Tensor) -> list[int]:
    """Index of the frame that holds each crop, pixel for pixel."""
    found = []
    for crop in clean.numpy():
        for index in range(len(batches.frames)):
            image = batches.frames.image(index)
            tops, lefts = image.shape[0] - CROP_HW[0] + 1, image.shape[1] - CROP_HW[1] + 1
            places = ((top, left) for top in range(tops) for left in range(lefts))
            if any(np.array_equal(image[t : t + CROP_HW[0], s : s + CROP_HW[1]], crop) for t, s in places):
                found.append(index)
    return found


def test_clean_crops_are_unchanged_parts_of_frames_each_once_an_epoch(
    make_batches: Callable[..., TargetBatches],
) -> None:
    batches = make_batches(**CLEAN)
    steps = [batches[step] for step in range(5)]
    shown = [index for batch in steps if batch.clean is not None for index in frames_shown(batches, batch.clean)]
    assert Counter(shown) == dict.fromkeys(range(5), 2)
    assert [f"{index:03d}.png" for index in shown] != [name for batch in steps for name in batch.names]


def test_clean_crops_are_a_function_of_the_step_and_move_no_other_view(
    make_batches: Callable[..., TargetBatches],
) -> None:
    with_clean, again, without = make_batches(**CLEAN)[3], make_batches(**CLEAN)[3], make_batches()[3]
    assert with_clean.clean is not None
    assert again.clean is not None
    assert with_clean.memory is not None
    assert torch.equal(with_clean.clean, again.clean)
    assert not torch.equal(with_clean.clean, with_clean.memory)
    assert without.clean is None
    for view in ("memory", "weak", "student", "pseudo_labels"):
        assert torch.equal(getattr(with_clean, view), getattr(without, view))


def test_processes_have_the_clean_crops_of_their_own_places(make_batches: Callable[..., TargetBatches]) -> None:
    whole = make_batches(**CLEAN)[3].clean
    shares = [make_batches(World(rank, 2), **CLEAN)[3].clean for rank in range(2)]
    assert whole is not None
    assert torch.equal(whole, torch.cat([share for share in shares if share is not None]))


@pytest.fixture
def iapc(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Iapc:
    prior = torch.full((11,), 1 / 11)
    config = IapcConfig(name="iapc", importance_view="crop", ema_momentum=0.5)
    return Iapc(config, Setting(network, spec.frame_input(), prior, compute, iterations=10))


def a_batch(*, clean: bool) -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    views = [torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(4)]
    labels = torch.randint(0, 8, (2, 32, 48), generator=rng)
    return TargetBatch(["a", "b"], views[0], views[1], views[2], labels, None, views[3] if clean else None)


def test_after_the_step_the_clean_crops_move_the_students_statistics_and_nothing_else(iapc: Iapc) -> None:
    batch = a_batch(clean=True)
    iapc.losses(batch)
    expected = copy.deepcopy(iapc.student)
    weights = [parameter.detach().clone() for parameter in expected.parameters()]
    assert batch.clean is not None
    with torch.no_grad():
        expected(iapc.frame_input(batch.clean))
    iapc.after_step()
    for name, (mean, var) in read_statistics(iapc.student).items():
        assert torch.equal(mean, read_statistics(expected)[name][0])
        assert torch.equal(var, read_statistics(expected)[name][1])
    assert all(torch.equal(own, kept) for own, kept in zip(iapc.student.parameters(), weights, strict=True))
    # The memory's buffers are copies of the student's, clean crops included.
    assert torch.equal(read_statistics(iapc.memory)["stem.1"][0], read_statistics(expected)["stem.1"][0])


def test_a_step_without_clean_crops_moves_no_statistics_after_it(iapc: Iapc) -> None:
    iapc.losses(a_batch(clean=True))
    iapc.after_step()
    iapc.losses(a_batch(clean=False))
    before = read_statistics(iapc.student)
    iapc.after_step()
    assert all(torch.equal(mean, before[name][0]) for name, (mean, _) in read_statistics(iapc.student).items())


def test_running_statistics_are_delivered_as_training_left_them(
    world: Path, tmp_path: Path, make_config: Callable[..., str], compute: Compute
) -> None:
    settings = {**ADAPTATION, "iterations": 1, "statistics_share": 0.0, "settled_statistics": "running", **CLEAN}
    settings["pseudo_labels"] = {"scales": [1.0], "mirror": False}
    settings["optimizer"] = {"learning_rate": 1e-12, "warmup": 0, "horizon": 100}
    assert main(["adapt", make_config(**settings)]) == 0
    source, spec = load_network(world / "source.safetensors")
    (labels,) = tmp_path.glob("out/prepared/*/pseudo_labels")
    batches = TargetBatches(
        folder_images(world / "frames"), PseudoLabels(labels), None, AdaptationConfig.model_validate(settings), 0
    )
    batch = batches[0]
    assert batch.clean is not None
    source.train()
    with torch.no_grad():
        for view in (batch.student, batch.clean):
            source(spec.frame_input()(view))
    found = read_statistics(load_network(tmp_path / "out/adapted.safetensors")[0])
    for name, (mean, var) in read_statistics(source).items():
        torch.testing.assert_close(found[name][0], mean, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found[name][1], var, rtol=1e-3, atol=1e-4)
