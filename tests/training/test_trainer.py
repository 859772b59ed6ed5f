"""The training loop on two single weights: every step by hand, and what stops a run."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from runtime.errors import CheckpointError, TrainingError
from training.checkpoint import read_tensors
from training.config import OptimizerConfig
from training.device import Compute
from training.networks.network import SegmentationNetwork
from training.trainer import Run, train

STEPS = 12


class Factor(NamedTuple):
    names: list[str]
    value: float


@dataclass
class Factors(Dataset[Factor]):
    """The factor 1, but at one step NaN."""

    nan_at: int | None = None

    def __getitem__(self, step: int) -> Factor:
        return Factor([f"a{step}", f"b{step}"], math.nan if step == self.nan_at else 1.0)


class TwoWeights(SegmentationNetwork):
    head = "classifier"


@dataclass
class Weights:
    """Two weights w, one of them the classifier; the terms sum up to slope * w for each."""

    slope: float = 1.0
    start: float = 0.0
    student: TwoWeights = field(default_factory=TwoWeights)
    heads: nn.Module = field(default_factory=nn.Module)
    num_steps: int = 0

    def __post_init__(self) -> None:
        self.student.trunk = nn.Parameter(torch.tensor([self.start]))
        self.student.classifier = nn.Parameter(torch.tensor([self.start]))

    def losses(self, batch: Factor) -> dict[str, Tensor]:
        half = 0.5 * self.slope * torch.cat(list(self.student.parameters())).sum()
        return {"half": half, "other_half": half * batch.value}

    def after_step(self) -> None:
        self.num_steps += 1

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None: ...

    @property
    def values(self) -> list[float]:
        return [float(parameter.detach()) for parameter in self.student.parameters()]


class RootOfZero(Weights):
    """A finite loss with an infinite gradient."""

    def losses(self, batch: Factor) -> dict[str, Tensor]:
        return {"root": torch.cat(list(self.student.parameters())).sqrt().sum()}


def run_in(folder: Path, **changes: Any) -> Run[Factor]:
    run = Run(
        folder=folder,
        fingerprint="abc",
        batches=Factors(),
        iterations=STEPS,
        batch_size=2,
        workers=0,
        checkpoint_every=4,
        optimizer=OptimizerConfig(learning_rate=0.05, warmup=3, horizon=20),
        compute=Compute(torch.device("cpu"), "fp32"),
        seed=0,
        title="toy",
    )
    return replace(run, **changes)


def fit(run: Run[Factor], method: Weights | None = None) -> Weights:
    method = method or Weights()
    train(method, run, lambda batch: batch)
    return method


def metrics_of(run: Run[Factor]) -> list[dict[str, float]]:
    """All that is logged, but for the speed."""
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line.pop("images_per_s") > 0 for line in lines)
    return lines


def one_step_run(folder: Path, **optimizer: Any) -> Run[Factor]:
    settings = {"learning_rate": 0.1, "head_multiplier": 10.0, "weight_decay": 0.0, "warmup": 0, "horizon": 10**9}
    config = OptimizerConfig.model_validate({**settings, **optimizer})
    return run_in(folder, optimizer=config, iterations=1)


def test_step_is_nesterov_sgd_on_the_sum_of_the_terms_with_the_heads_multiple(tmp_path: Path) -> None:
    # Gradient 1. Step 1: velocity 1, move 1 + 0.9; step 2: velocity 1.9, move 1 + 0.9 * 1.9 = 2.71.
    first = fit(one_step_run(tmp_path), Weights())
    assert first.values == pytest.approx([-0.19, -1.9])
    both = fit(replace(one_step_run(tmp_path), iterations=2), Weights())
    assert both.values == pytest.approx([-0.461, -4.61], rel=1e-4)


def test_step_without_momentum_is_plain_gradient_descent(tmp_path: Path) -> None:
    assert fit(one_step_run(tmp_path, momentum=0.0), Weights()).values == pytest.approx([-0.1, -1.0])


def test_gradients_of_one_step_do_not_reach_the_next(tmp_path: Path) -> None:
    run = replace(one_step_run(tmp_path, momentum=0.0), iterations=3)
    assert fit(run, Weights()).values == pytest.approx([-0.3, -3.0])


def test_weight_decay_pulls_towards_zero(tmp_path: Path) -> None:
    run = one_step_run(tmp_path, momentum=0.0, weight_decay=0.5)
    assert fit(run, Weights(slope=0.0, start=1.0)).values == pytest.approx([0.95, 0.5])


def test_adamw_moves_by_its_rate_and_decays_apart_from_the_gradient(tmp_path: Path) -> None:
    run = one_step_run(tmp_path, name="adamw", weight_decay=0.5, head_multiplier=2.0)
    # 1 * (1 - 0.1 * 0.5) - 0.1 and 1 * (1 - 0.2 * 0.5) - 0.2, whatever the slope.
    assert fit(run, Weights(slope=7.0, start=1.0)).values == pytest.approx([0.85, 0.7])


def test_first_step_has_a_tenth_of_the_rate_in_a_warm_up(tmp_path: Path) -> None:
    run = one_step_run(tmp_path, momentum=0.0, warmup=10)
    assert fit(run, Weights()).values == pytest.approx([-0.01, -0.1])
    assert metrics_of(run) == [{"step": 0, "half": 0.0, "other_half": 0.0, "lr": pytest.approx(0.01)}]


def test_learning_rate_is_logged_step_by_step(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    fit(run)
    rates = [line["lr"] for line in metrics_of(run)]
    assert rates[:4] == pytest.approx([0.005, 0.02, 0.035, 0.05 * (17 / 20) ** 0.9])


def test_method_is_told_after_every_step(tmp_path: Path) -> None:
    assert fit(run_in(tmp_path)).num_steps == STEPS


def test_state_of_other_settings_is_refused_and_kept(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    fit(run)
    before = run.state_path.read_bytes()
    with pytest.raises(CheckpointError, match=r"state\.safetensors belongs to a run with other settings"):
        fit(replace(run, fingerprint="abd"))
    assert run.state_path.read_bytes() == before


@pytest.mark.parametrize("kept", [0, 20, -10])
def test_truncated_state_is_named(tmp_path: Path, kept: int) -> None:
    run = run_in(tmp_path)
    fit(run)
    run.state_path.write_bytes(run.state_path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"state\.safetensors is damaged"):
        fit(run)


class Narrow(Weights):
    """A student without its classifier."""

    def __post_init__(self) -> None:
        self.student.trunk = nn.Parameter(torch.tensor([self.start]))


def test_state_of_another_student_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    fit(run)
    with pytest.raises(CheckpointError, match=r"state\.safetensors does not fit the network"):
        fit(run, Narrow())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nan_stops_the_run_naming_term_and_frames_and_keeps_the_state(
    tmp_path: Path, precision: Literal["fp32", "fp16"]
) -> None:
    run = run_in(tmp_path, compute=Compute(torch.device("cpu"), precision))
    with pytest.raises(TrainingError, match=r"step 6: other_half is nan on frames a6, b6; the last good state") as e:
        fit(replace(run, batches=Factors(nan_at=6)))
    assert str(run.state_path) in str(e.value)
    tensors, metadata = read_tensors(run.state_path)
    assert metadata["step"] == "4"
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    fit(run)
    assert len(metrics_of(run)) == STEPS


def test_nan_before_any_state_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 1: other_half is nan on frames a1, b1; no state was written"):
        fit(run_in(tmp_path, batches=Factors(nan_at=1)))


def test_infinite_gradient_of_a_finite_loss_stops_the_run(tmp_path: Path) -> None:
    method = RootOfZero()
    with pytest.raises(TrainingError, match=r"step 0: gradient is inf on frames a0, b0"):
        fit(run_in(tmp_path), method)
    assert method.values == [0.0, 0.0]
