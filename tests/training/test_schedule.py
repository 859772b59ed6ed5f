"""Learning rates of the paper's schedule and the optimiser's groups."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn, optim

from training.config import AdaptationConfig, OptimizerConfig, TrainedSource
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import SegmentationNetwork
from training.schedule import learning_rate_factor, parameter_groups, set_learning_rate, tell_of_warmup


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1e-5), (2500, 5.5e-5), (4999, 9.9982e-5), (5000, 9.549e-5), (8999, 9.186e-5), (100_000, 0.0), (200_000, 0.0)],
)
def test_learning_rate_of_the_papers_schedule(step: int, expected: float) -> None:
    assert 1e-4 * learning_rate_factor(step, warmup=5000, horizon=100_000) == pytest.approx(expected, rel=1e-4)


def test_without_warmup_the_first_step_has_the_whole_rate() -> None:
    assert learning_rate_factor(0, warmup=0, horizon=10) == 1.0


def test_power_one_decays_linearly() -> None:
    assert learning_rate_factor(4, warmup=0, horizon=10, power=1.0) == pytest.approx(0.6)


VIEWS = {"train_hw": (64, 96), "crop_hw": (64, 96), "scale": (1.0, 1.0)}
STREETS = {"layout": "streets", "domain": "source", "first": 0, "count": 2, "height": 64, "width": 96}


@pytest.mark.parametrize("horizon", [9, 10, 1000])
@pytest.mark.parametrize(
    ("config", "values"),
    [
        (AdaptationConfig, {"method": {"name": "iapc"}, "memory_hw": (64, 96)}),
        (TrainedSource, {"kind": "train", "frames": STREETS}),
    ],
    ids=["adaptation", "source"],
)
def test_horizon_before_the_last_step_is_refused(
    config: type[AdaptationConfig | TrainedSource], values: dict[str, Any], horizon: int
) -> None:
    given = {**values, "views": VIEWS, "batch_size": 2, "iterations": 10, "optimizer": {"horizon": horizon}}
    if horizon >= 10:
        assert config.model_validate(given).optimizer.horizon == horizon
        return
    message = r"optimizer\.horizon=9 lies before .*iterations=10: .*set optimizer\.horizon to at least 10, or fewer"
    with pytest.raises(ValidationError, match=message):
        config.model_validate(given)


@pytest.mark.parametrize(
    ("warmup", "iterations", "told"),
    [(0, 1, ""), (9, 10, ""), (10, 10, "reaches 91% of"), (5000, 300, "reaches 15% of a.learning_rate; a tenth")],
)
def test_warmup_that_a_run_does_not_outlast_is_told(
    warmup: int, iterations: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_of_warmup(OptimizerConfig(warmup=warmup), iterations, key="a")
    found = capsys.readouterr().err
    assert bool(found) == bool(told)
    assert told in found
    assert (f"WARNING: a.warmup={warmup} lasts longer than the run of {iterations} steps" in found) == bool(told)


def test_groups_hold_every_trainable_tensor_once(network: DeepLabV2) -> None:
    groups = parameter_groups(network, learning_rate=1e-4, backbone_multiplier=1.0, head_multiplier=10.0)
    held = [id(parameter) for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters()}


def test_head_learns_at_its_multiple_and_holds_the_classifier_alone(network: DeepLabV2) -> None:
    trunk, head = parameter_groups(network, learning_rate=1e-4, backbone_multiplier=1.0, head_multiplier=10.0)
    assert (trunk["lr"], trunk["base_lr"]) == (1e-4, 1e-4)
    assert (head["lr"], head["base_lr"]) == (1e-3, 1e-3)
    head_ids = {id(parameter) for parameter in head["params"]}  # type: ignore[attr-defined]
    assert head_ids == {id(parameter) for parameter in network.classifier.parameters()}


def test_trunk_learns_at_its_own_multiple(network: DeepLabV2) -> None:
    trunk, head = parameter_groups(network, learning_rate=0.5, backbone_multiplier=3.0, head_multiplier=10.0)
    assert (trunk["lr"], trunk["base_lr"]) == (1.5, 1.5)
    assert (head["lr"], head["base_lr"]) == (5.0, 5.0)


class Nested(SegmentationNetwork):
    def __init__(self, head: str) -> None:
        super().__init__()
        self.decoder = nn.ModuleDict({"head": nn.Linear(1, 1), "head2": nn.Linear(1, 1)})
        self.head = head


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", set()),
        ("decoder.head", {"decoder.head.weight", "decoder.head.bias"}),
        ("decoder.head.bias", {"decoder.head.bias"}),
    ],
)
def test_head_is_the_module_of_that_name_and_nothing_that_starts_alike(head: str, expected: set[str]) -> None:
    network = Nested(head)
    _, group = parameter_groups(network, learning_rate=1.0, backbone_multiplier=1.0, head_multiplier=2.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(parameter)] for parameter in group["params"]} == expected  # type: ignore[attr-defined]


def test_frozen_parameters_are_in_no_group(network: DeepLabV2) -> None:
    network.stem.requires_grad_(False)
    next(network.classifier.children()).requires_grad_(False)
    groups = parameter_groups(network, learning_rate=1.0, backbone_multiplier=1.0, head_multiplier=1.0)
    held = {id(parameter) for group in groups for parameter in group["params"]}  # type: ignore[attr-defined]
    assert held == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}


def test_rate_is_set_from_the_base_rate_however_often() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = optim.SGD(
        [{"params": [p], "lr": lr, "base_lr": lr} for p, lr in zip(parameters, (1.0, 10.0), strict=True)]
    )
    for factor in (0.1, 0.5):
        set_learning_rate(optimizer, factor)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 5.0]
