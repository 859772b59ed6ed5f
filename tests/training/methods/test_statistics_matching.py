"""Statistics matching: the distance worked by hand, what it moves, and hooks that leave nothing behind."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec
from training.device import Compute
from training.distributed import ALONE
from training.methods.choice import MethodConfig, build_method
from training.methods.method import Setting
from training.methods.parts.statistics_matching import StatisticsMatching, statistics_distance
from training.methods.sfda import attention_distance
from training.networks.deeplab_v2 import DeepLabV2
from training.statistics.batch_norm import use_batch_statistics

ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)


def images() -> torch.Tensor:
    return torch.randn(4, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def test_distance_is_of_means_and_standard_deviations() -> None:
    # First channel 1, 3: mean 2, deviation 1. Second 0, 8: mean 4, deviation 4. From means 0, 4 and variances 9, 4.
    inputs = torch.tensor([[1.0, 0.0], [3.0, 8.0]]).reshape(2, 2, 1, 1)
    found = statistics_distance(inputs, torch.tensor([0.0, 4.0]), torch.tensor([9.0, 4.0]), eps=0.0)
    assert float(found) == pytest.approx(4 + 0 + 4 + 4)


def test_dead_channel_has_a_finite_gradient() -> None:
    inputs = torch.zeros(2, 1, 3, 3, requires_grad=True)
    statistics_distance(inputs, torch.ones(1), torch.ones(1), eps=1e-5).backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert torch.isfinite(inputs.grad).all()


def test_every_layer_is_watched_and_none_afterwards(network: DeepLabV2) -> None:
    matching = StatisticsMatching(network, ALONE, method="sfda")
    num_layers = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with matching.watched(network) as distances:
        network(images())
    assert len(distances) == num_layers
    network(images())
    assert len(distances) == num_layers
    with pytest.raises(RuntimeError, match="lost"), matching.watched(network):
        raise RuntimeError("lost")
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_batches_that_made_the_statistics_are_at_no_distance(network: DeepLabV2) -> None:
    use_batch_statistics(network)
    with torch.no_grad():
        far = _distance(network, StatisticsMatching(network, ALONE, method="sfda"))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network(images())
        near = _distance(network, StatisticsMatching(network, ALONE, method="sfda"))
    # Stored variances are unbiased.
    assert near < 1e-3 * far


def _distance(network: DeepLabV2, matching: StatisticsMatching) -> float:
    with matching.watched(network) as distances:
        network(images())
    return float(torch.stack(distances).sum().detach())


def test_statistics_are_those_at_the_start(network: DeepLabV2) -> None:
    matching = StatisticsMatching(network, ALONE, method="sfda")
    first = _distance(network.train(), matching)
    # Meanwhile the first call moved the running statistics, by which a network in training is not normalised.
    assert _distance(network, matching) == pytest.approx(first, rel=1e-6)


def test_distance_is_measured_in_float32_under_autocast(network: DeepLabV2) -> None:
    matching = StatisticsMatching(network, ALONE, method="sfda")
    exact = _distance(network.train(), matching)
    with torch.autocast("cpu", dtype=torch.bfloat16), matching.watched(network) as distances:
        network(images())
    assert {distance.dtype for distance in distances} == {torch.float32}
    assert float(torch.stack(distances).sum().detach()) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("name", ["sfda", "dtac"])
def test_network_without_batch_norm_is_refused(
    network: DeepLabV2, spec: NetworkSpec, compute: Compute, name: str
) -> None:
    plain: Any = nn.Conv2d(3, 11, 1)
    setting = Setting(plain, spec.frame_input(), torch.full((11,), 1 / 11), compute, iterations=10)
    with pytest.raises(ConfigError, match=f"{name} matches the statistics of batch norm, and the network has none"):
        build_method(ADAPTER.validate_python({"name": name}), setting)


def test_attention_is_compared_between_pixels_and_between_channels() -> None:
    # Two pixels, two channels. Mine are orthogonal either way, theirs the same: cosines 0 against 1 off the diagonal.
    mine, theirs = torch.eye(2).reshape(1, 2, 1, 2), torch.ones(1, 2, 1, 2)
    assert float(attention_distance(mine, theirs)) == pytest.approx(0.5 + 0.5)
    assert float(attention_distance(mine, mine)) == 0


def test_attention_of_large_maps_is_of_means_of_blocks() -> None:
    # 2 x 1000 cells are compared as 1 x 500.
    small = torch.randn(1, 3, 1, 500, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    other = small.flip(3)
    found = attention_distance(large, other.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert float(found) == pytest.approx(float(attention_distance(small, other)), rel=1e-5)
