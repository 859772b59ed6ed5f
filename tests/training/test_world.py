"""Two processes under torchrun: what they share and sum is what one process has, and they end together.

Run as a program under torchrun (`test_world.py CHECK FOLDER`), this file is what the processes of a test do.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from runtime.command import run_command
from runtime.errors import ConfigError, TrainingError
from training.checkpoint import NetworkSpec, read_tensors
from training.config import OptimizerConfig, PseudoLabelConfig
from training.device import Compute
from training.distributed import ALONE, World, join_world
from training.evaluate import evaluate
from training.frame_network import FrameInput
from training.labels.class_balanced import Shares, make_balanced_labels
from training.labels.class_weights import RareClassWeights
from training.labels.pseudo_labels import PseudoLabels
from training.losses.terms import prior_divergence
from training.methods.supervised import Supervised
from training.networks.config import INPUT_CONVENTIONS, DeepLabV2Config
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.trainer import Run, train
from training.views.batch import SourceBatch

RunTwo = Callable[..., subprocess.CompletedProcess[str]]


# What two processes of this file do


class Plain(SegmentationNetwork):
    """A convolution, batch norm, the classifier, and a head that no loss knows."""

    head = "classifier"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.classifier = nn.Conv2d(4, 3, 1)
        self.auxiliary = nn.Conv2d(4, 3, 1)

    def forward(self, image: Tensor) -> NetworkOutput:
        features = self.trunk(image)
        return NetworkOutput(self.classifier(features), features)


def seeded(build: Callable[[], SegmentationNetwork]) -> SegmentationNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def global_batch() -> tuple[Tensor, Tensor]:
    """Four images, of which the second half is brighter, and labels, of which the second half has fewer."""
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(0, 128, (4, 6, 8, 3), generator=draws, dtype=torch.uint8)
    images[2:] += 100
    labels = torch.randint(0, 3, (4, 6, 8), generator=draws)
    labels[2:, :4] = 255
    return images, labels


def measure(world: World) -> dict[str, Any]:
    """What is reduced: sums, means with their gradient, the order of the first and the others."""
    found: dict[str, Any] = {"places": list(world.places(4)), "share": list(world.share(range(5)))}
    logits = torch.arange(24.0, dtype=torch.float64).view(2, 3, 2, 2).sin()[[world.rank]].requires_grad_(True)
    divergence = prior_divergence(logits.log_softmax(1), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), world)
    torch.autograd.backward(divergence)
    found |= {"divergence": divergence.detach(), "gradient": logits.grad}
    found["means"] = world.mean_of({"a": float(world.rank), "b": 3.0})
    found["made_ns"] = world.first_then_all(lambda: made_at(pause_s=0.3 if world.is_first else 0.0))
    found["metrics"] = fit(world, Path(sys.argv[2]) / "supervised")
    found["confusion"] = evaluated(Compute(torch.device("cpu"), "fp32", world))
    found["class_weights"] = class_weights(world)
    found["thresholds"] = thresholds(Compute(torch.device("cpu"), "fp32", world), Path(sys.argv[2]))
    with pytest.raises(TrainingError) as error:
        fit(world, Path(sys.argv[2]) / "stopped", Poisoned)
    found["error"] = str(error.value)
    return found


def made_at(*, pause_s: float) -> int:
    time.sleep(pause_s)
    return time.monotonic_ns()


def class_weights(world: World) -> list[float]:
    """Class 0 is small among all, though not in the first half; class 1 is absent there alone, class 2 everywhere."""
    labels = torch.full((4, 10, 10), 3)
    labels[0, 0, :7] = 0
    labels[3, 0, :5] = 1
    weights = RareClassWeights(4, boost=7.0, device=torch.device("cpu"), world=world)
    return [round(weight, 4) for weight in weights.update(labels[list(world.places(4))]).tolist()]


class Bright:
    """Five labelled frames of growing brightness."""

    def __len__(self) -> int:
        return 5

    def name(self, index: int) -> str:
        return f"frame {index}"

    def hw(self, index: int) -> tuple[int, int]:
        return 32, 48

    def image(self, index: int) -> NDArray[np.uint8]:
        return np.random.default_rng(index).integers(0, 50 * (index + 1), (32, 48, 3), dtype=np.uint8)

    def label(self, index: int) -> NDArray[np.uint8]:
        return np.random.default_rng(index).integers(0, 11, (32, 48), dtype=np.uint8)


def evaluated(compute: Compute) -> list[list[int]]:
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(32, 48))
    spec = NetworkSpec(model=model, label_space="camvid11")
    network = seeded(spec.build)
    counts: list[list[int]] = evaluate(network, spec, Bright(), compute, title="evaluate").counts.tolist()
    return counts


def thresholds(compute: Compute, folder: Path) -> list[float]:
    """Thresholds of class-balanced labels of the five frames."""
    model = DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=(32, 48))
    spec, labels = NetworkSpec(model=model, label_space="camvid11"), PseudoLabels(folder / "labels")
    looks, shares = PseudoLabelConfig(scales=(1.0,), mirror=False), Shares(0.3, rarity=0.5)
    make_balanced_labels(seeded(spec.build).eval(), spec, Bright(), labels, looks, compute, shares=shares)
    found: list[float] = json.loads((folder / "labels.thresholds.json").read_text())
    return found


class Halves(Dataset[SourceBatch]):
    """The same global batch in every step; one image of it may be poisoned at a step."""

    def __init__(self, world: World) -> None:
        self.places = world.places(4)

    def __getitem__(self, step: int) -> SourceBatch:
        images, labels = global_batch()
        names = [f"image{place}" for place in self.places]
        return SourceBatch(names, images[list(self.places)], labels[list(self.places)])


class Poisoned:
    """A method whose loss is NaN at step 2 where image 2 is seen."""

    def __init__(self, method: Supervised) -> None:
        self.method, self.student, self.heads, self.num_steps = method, method.student, method.heads, 0
        self.after_step, self.state, self.load_state = method.after_step, method.state, method.load_state

    def losses(self, batch: SourceBatch) -> dict[str, Tensor]:
        self.num_steps += 1
        factor = math.nan if self.num_steps == 3 and "image2" in batch.names else 1.0
        return {name: term * factor for name, term in self.method.losses(batch).items()}


def fit(world: World, folder: Path, wrap: Callable[[Any], Any] = lambda method: method) -> list[Mapping[str, float]]:
    """Three supervised steps; what was logged, which the first process writes."""
    folder.mkdir(parents=True, exist_ok=True)
    compute = Compute(torch.device("cpu"), "fp32", world)
    run = Run(
        folder=folder,
        fingerprint="abc",
        batches=Halves(world),
        iterations=3,
        batch_size=4,
        workers=0,
        checkpoint_every=2,
        optimizer=OptimizerConfig(learning_rate=0.05, warmup=0, horizon=20),
        compute=compute,
        seed=0,
        title="halves",
    )
    method = Supervised(seeded(Plain), FrameInput(INPUT_CONVENTIONS["rgb_imagenet"]), compute)
    train(wrap(method), run, lambda batch: batch)
    world.wait()
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def poisoned(world: World) -> dict[str, Any]:
    return {"never": fit(world, Path(sys.argv[2]), Poisoned)}


CHECKS = {"measure": measure, "poisoned": poisoned}


def run_check(name: str, folder: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    with join_world() as world:
        torch.save(CHECKS[name](world), Path(folder) / f"{name}{world.rank}.pt")
    return {"done": name}


# Shares, sums and means


def check(run_two: RunTwo, name: str, folder: Path) -> list[dict[str, Any]]:
    """Run a check in two processes; what each of them found."""
    done = run_two(__file__, name, str(folder))
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{name}{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def measured(run_two: RunTwo, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return check(run_two, "measure", tmp_path_factory.mktemp("measured"))


def test_shares_are_disjoint_and_complete(measured: list[dict[str, Any]]) -> None:
    assert [found["places"] for found in measured] == [[0, 1], [2, 3]]
    assert [found["share"] for found in measured] == [[0, 2, 4], [1, 3]]


def test_prior_divergence_is_that_of_the_mean_prediction_of_all(measured: list[dict[str, Any]]) -> None:
    logits = torch.arange(24.0, dtype=torch.float64).view(2, 3, 2, 2).sin().requires_grad_(True)
    expected = prior_divergence(logits.log_softmax(1), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    torch.autograd.backward(expected)
    for found in measured:
        torch.testing.assert_close(found["divergence"], expected.detach())
    # Averaged over processes, as gradients of weights are, these are the gradients of the whole.
    torch.testing.assert_close(torch.cat([found["gradient"] for found in measured]) / 2, logits.grad)


def test_means_are_those_of_all(measured: list[dict[str, Any]]) -> None:
    assert [found["means"] for found in measured] == [{"a": 0.5, "b": 3.0}] * 2


def test_others_find_what_the_first_made(measured: list[dict[str, Any]]) -> None:
    assert measured[0]["made_ns"] < measured[1]["made_ns"]


def test_class_weights_count_the_whole_batch(measured: list[dict[str, Any]]) -> None:
    # 7 and 5 of 400 pixels are fewer than 3.125 %, that is 12.5; the absent class has 7 * (0.9 + 0.1 * 7).
    assert class_weights(ALONE) == [7.0, 7.0, 11.2, 1.0]
    assert [found["class_weights"] for found in measured] == [class_weights(ALONE)] * 2


def test_supervised_losses_are_those_of_the_whole_batch(measured: list[dict[str, Any]], tmp_path: Path) -> None:
    expected = fit(ALONE, tmp_path)
    assert measured[0]["metrics"] == measured[1]["metrics"]
    for found, wanted in zip(measured[0]["metrics"], expected, strict=True):
        # Float32 means in another order, three steps.
        assert found["cross_entropy"] == pytest.approx(wanted["cross_entropy"], rel=1e-5)


def test_confusion_of_shared_frames_is_exact(measured: list[dict[str, Any]], compute: Compute) -> None:
    expected = evaluated(compute)
    assert sum(map(sum, expected)) == 5 * 32 * 48
    assert [found["confusion"] for found in measured] == [expected, expected]


def test_thresholds_of_labels_count_the_pixels_of_all(
    measured: list[dict[str, Any]], compute: Compute, tmp_path: Path
) -> None:
    expected = thresholds(compute, tmp_path)
    assert any(threshold < 1.0 for threshold in expected)
    assert [found["thresholds"] for found in measured] == [expected, expected]


# Failures


def test_nan_in_one_process_is_the_same_error_in_all(measured: list[dict[str, Any]]) -> None:
    assert measured[0]["error"] == measured[1]["error"]
    assert "halves, step 2: cross_entropy is nan on frames image2, image3; the last good" in measured[0]["error"]


def test_nan_in_one_process_stops_all_and_is_told_once_with_its_frames(run_two: RunTwo, tmp_path: Path) -> None:
    done = run_two(__file__, "poisoned", str(tmp_path))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    state = tmp_path / "state.safetensors"
    (line,) = told
    found = "cross_entropy is nan on frames image2, image3"
    assert line.startswith(f"error: halves, step 2: {found}; the last good state is kept in {state}. ")
    assert read_tensors(state)[1]["step"] == "2"
    assert done.stdout == ""


def test_batch_that_cannot_be_shared_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"batch_size=6 cannot be shared equally by 4 processes: .*; use 4 or 8"):
        World(0, 4).places(6)
    with pytest.raises(ConfigError, match=r"batch_size=2 cannot be shared equally by 4 processes: .*; use 4 or 8"):
        World(0, 4).places(2)


def test_networks_are_tried_on_a_share_of_the_batch_of_two_at_least() -> None:
    assert [World(0, size).trial_size(6) for size in (1, 2, 4, 6)] == [6, 3, 2, 2]


if __name__ == "__main__":
    sys.exit(run_command(lambda: cast(Mapping[str, Any], run_check(*sys.argv[1:]))))
