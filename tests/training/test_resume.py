"""A run stopped or killed at any moment and started again ends with the same bits, on a tiny regression.

Run as a program (`python test_resume.py FOLDER`), this file trains slowly enough to be killed.
"""

import json
import math
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.checkpoint import read_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.trainer import Run, train

ROOT = Path(__file__).parents[2]
STEPS = 12
SGD = OptimizerConfig(learning_rate=0.05, head_multiplier=2.0, warmup=3, horizon=20)
OPTIMIZERS = {
    "sgd": SGD,
    "sgd without momentum": SGD.model_copy(update={"momentum": 0.0}),
    "adamw": SGD.model_copy(update={"name": "adamw", "learning_rate": 0.01}),
}


class Numbers(NamedTuple):
    names: list[str]
    inputs: Tensor
    targets: Tensor


@dataclass
class NumberBatches(Dataset[Numbers]):
    """Images of noise, a pure function of the step; can fail at a step, poison one, or be slow."""

    fails_at: int | None = None
    nan_at: int | None = None
    pause_s: float = 0.0

    def __getitem__(self, step: int) -> Numbers:
        if step == self.fails_at:
            raise RuntimeError("killed")
        time.sleep(self.pause_s)
        inputs = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        targets = inputs.mean(dim=1, keepdim=True)
        return Numbers([f"a{step}", f"b{step}"], inputs, targets * (math.nan if step == self.nan_at else 1.0))


class Student(SegmentationNetwork):
    head = "classifier"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1))
        self.classifier = nn.Conv2d(4, 1, 1)

    def forward(self, image: Tensor) -> NetworkOutput:
        features = self.trunk(image)
        return NetworkOutput(logits=self.classifier(features), features=features)


class Regression:
    """Squared error, and a pull towards a moving average of the classifier's bias: state besides the student."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.student = Student().train()
            self.heads = nn.ModuleDict({"scale": nn.Conv2d(1, 1, 1)})
        self.bias = self.student.get_parameter("classifier.bias")
        self.average = torch.ones(1)

    def losses(self, batch: Numbers) -> dict[str, Tensor]:
        error = (self.heads["scale"](self.student.logits(batch.inputs)) - batch.targets).square().mean()
        drift = (self.bias - self.average).square().sum()
        return {"drift": 0.5 * drift, "squared_error": error}

    def after_step(self) -> None:
        self.average = 0.9 * self.average + 0.1 * self.bias.detach()

    def state(self) -> dict[str, Tensor]:
        return {"average": self.average}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.average = state["average"]


def run_in(folder: Path, **changes: Any) -> Run[Numbers]:
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(
        folder=folder,
        fingerprint="abc",
        batches=NumberBatches(),
        iterations=STEPS,
        batch_size=2,
        workers=0,
        checkpoint_every=4,
        optimizer=SGD,
        compute=Compute(torch.device("cpu"), "fp32"),
        seed=0,
        title="regression",
    )
    return replace(run, **changes)


def fit(run: Run[Numbers], method: Any = None) -> Any:
    method = method or Regression()
    train(method, run, lambda batch: batch)
    return method


def metrics_of(run: Run[Numbers]) -> list[dict[str, float]]:
    """All that is logged, but for the speed."""
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line.pop("images_per_s") > 0 for line in lines)
    return lines


def assert_same_end(first: Run[Numbers], second: Run[Numbers]) -> None:
    (tensors, metadata), (others, other_metadata) = (read_tensors(run.state_path) for run in (first, second))
    assert metadata == other_metadata
    assert tensors.keys() == others.keys()
    assert [name for name, tensor in tensors.items() if not torch.equal(tensor, others[name])] == []
    assert first.state_path.read_bytes() == second.state_path.read_bytes()
    assert metrics_of(first) == metrics_of(second)
    assert [line["step"] for line in metrics_of(first)] == list(range(first.iterations))


def test_training_learns(tmp_path: Path) -> None:
    run = run_in(tmp_path, iterations=60, optimizer=SGD.model_copy(update={"horizon": 1000}))
    fit(run)
    errors = [line["squared_error"] for line in metrics_of(run)]
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("fails_at", [2, 4, 7, 11])
def test_run_stopped_at_a_step_ends_with_the_same_bits(tmp_path: Path, name: str, fails_at: int) -> None:
    whole = run_in(tmp_path / "whole", optimizer=OPTIMIZERS[name])
    cut = run_in(tmp_path / "cut", optimizer=OPTIMIZERS[name])
    expected = fit(whole)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(cut, batches=NumberBatches(fails_at=fails_at)))
    resumed = fit(cut)
    assert_same_end(whole, cut)
    for name, tensor in expected.student.state_dict().items():
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    assert torch.equal(expected.average, resumed.average)
    assert torch.equal(expected.heads["scale"].weight, resumed.heads["scale"].weight)


def test_loss_scaling_of_half_precision_is_resumed_too(tmp_path: Path) -> None:
    half = Compute(torch.device("cpu"), "fp16")
    whole, cut = (run_in(tmp_path / name, compute=half) for name in ("whole", "cut"))
    fit(whole)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(cut, batches=NumberBatches(fails_at=6)))
    fit(cut)
    assert_same_end(whole, cut)
    assert json.loads(read_tensors(cut.state_path)[1]["scaler"])["_growth_tracker"] == STEPS


def test_metrics_line_cut_short_by_a_kill_is_written_again(tmp_path: Path) -> None:
    whole, cut = run_in(tmp_path / "whole"), run_in(tmp_path / "cut")
    fit(whole)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(cut, batches=NumberBatches(fails_at=6)))
    with (cut.folder / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 6, "squ')
    fit(cut)
    assert_same_end(whole, cut)


def test_run_killed_before_its_first_state_starts_again(tmp_path: Path) -> None:
    whole, cut = run_in(tmp_path / "whole"), run_in(tmp_path / "cut")
    fit(whole)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(cut, batches=NumberBatches(fails_at=3)))
    assert not cut.state_path.exists()
    fit(cut)
    assert_same_end(whole, cut)


def test_finished_run_trains_no_more_and_gives_its_network_back(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    first = fit(run)
    again = fit(replace(run, batches=NumberBatches(fails_at=0)))
    assert torch.equal(first.student.classifier.weight, again.student.classifier.weight)
    assert len(metrics_of(run)) == STEPS


def test_state_is_written_every_few_steps_and_at_the_end(tmp_path: Path) -> None:
    run = run_in(tmp_path, iterations=6)
    with pytest.raises(RuntimeError, match="killed"):
        fit(replace(run, batches=NumberBatches(fails_at=5)))
    assert read_tensors(run.state_path)[1]["step"] == "4"
    fit(run)
    assert read_tensors(run.state_path)[1]["step"] == "6"
    assert sorted(path.name for path in run.folder.iterdir()) == ["metrics.jsonl", "state.safetensors"]


def test_loader_processes_do_not_change_the_result(tmp_path: Path) -> None:
    alone, helped = run_in(tmp_path / "0"), run_in(tmp_path / "1", workers=1)
    fit(alone)
    fit(helped)
    assert_same_end(alone, helped)


# A real kill


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_process_started_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, cut = run_in(tmp_path / "whole"), run_in(tmp_path / "cut")
    fit(whole)
    rng = random.Random(time.time_ns())
    metrics = cut.folder / "metrics.jsonl"
    for least in (1, 6):
        process = subprocess.Popen([sys.executable, __file__, str(cut.folder)], cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for(lambda least=least: metrics.exists() and metrics.read_bytes().count(b"\n") >= least, process)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    fit(cut)
    assert_same_end(whole, cut)


if __name__ == "__main__":
    torch.set_num_threads(1)
    fit(run_in(Path(sys.argv[1]), batches=NumberBatches(pause_s=0.25)))
