"""Batch-norm statistics: read, written, blended and re-estimated, with values worked by hand."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from training.statistics.batch_norm import (
    blend,
    estimate_statistics,
    freeze_affine,
    load_statistics,
    read_statistics,
    statistics_distance,
)


def one_layer(mean: float = 5.0, var: float = 9.0) -> nn.Sequential:
    layer = nn.BatchNorm2d(1, momentum=0.1)
    load = {
        "running_mean": torch.tensor([mean]),
        "running_var": torch.tensor([var]),
        "num_batches_tracked": torch.tensor(7),
    }
    layer.load_state_dict({**layer.state_dict(), **load})
    return nn.Sequential(nn.Identity(), layer)


def image(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def statistics_of(network: nn.Module) -> list[float]:
    ((mean, var),) = read_statistics(network).values()
    return [float(mean), float(var)]


def test_statistics_are_read_by_layer_name_and_are_copies() -> None:
    network = one_layer()
    statistics = read_statistics(network)
    assert list(statistics) == ["1"]
    statistics["1"][0].fill_(-1.0)
    statistics["1"][1].fill_(-1.0)
    assert statistics_of(network) == [5.0, 9.0]


def test_loaded_statistics_are_what_is_read_back() -> None:
    network = one_layer()
    load_statistics(network, {"1": (torch.tensor([2.0]), torch.tensor([3.0]))})
    assert statistics_of(network) == [2.0, 3.0]


@pytest.mark.parametrize(("share", "mean", "var"), [(0.0, 1.0, 4.0), (0.25, 3.0, 6.0), (1.0, 9.0, 12.0)])
def test_blend_moves_mean_and_variance_by_the_target_share(share: float, mean: float, var: float) -> None:
    source = {"layer": (torch.tensor([1.0]), torch.tensor([4.0]))}
    target = {"layer": (torch.tensor([9.0]), torch.tensor([12.0]))}
    blended = blend(source, target, share)["layer"]
    assert [float(value) for value in blended] == [mean, var]


def test_distance_is_in_the_sources_standard_deviations_over_channels_then_layers() -> None:
    def statistics(*layers: tuple[list[float], list[float]]) -> dict[str, tuple[Tensor, Tensor]]:
        return {str(place): (torch.tensor(mean), torch.tensor(var)) for place, (mean, var) in enumerate(layers)}

    source = statistics(([0.0, 1.0], [4.0, 1.0]), ([5.0], [1.0]))
    target = statistics(([1.0, 1.0], [16.0, 1.0]), ([5.0], [0.25]))
    # Channels of the first layer: 1 / 2 + ln 2 and 0; of the second: ln 2.
    assert statistics_distance(source, target) == pytest.approx((0.5 * (0.5 + 0.6931) + 0.6931) / 2, abs=1e-4)
    assert statistics_distance(source, source) == 0.0


def test_estimate_is_the_plain_average_over_batches() -> None:
    network = one_layer()
    # Means 2, 5, 11; unbiased variances 2, 8, 2. A running average with momentum would give neither 6 nor 4.
    found = estimate_statistics(network, network, [image(1.0, 3.0), image(3.0, 7.0), image(10.0, 12.0)])
    assert [round(float(value), 5) for value in found["1"]] == [6.0, 4.0]


def test_estimate_of_a_later_layer_sees_what_the_layer_before_normalises_by_the_batch() -> None:
    network = nn.Sequential(one_layer(), one_layer())
    found = estimate_statistics(network, network, [image(1.0, 3.0)])
    # By the batch: (1, 3) -> (-1, 1); by the stored statistics it would be (-4/3, -2/3).
    assert [round(float(value), 3) for value in found["1.1"]] == [0.0, 2.0]


@pytest.mark.parametrize("is_training", [True, False])
def test_estimate_leaves_the_network_as_it_was(is_training: bool) -> None:
    normalisation = one_layer()
    network = nn.Sequential(normalisation, nn.Dropout()).train(is_training)
    estimate_statistics(network, network, [image(1.0, 3.0)])
    assert statistics_of(network) == [5.0, 9.0]
    assert normalisation[1].momentum == 0.1
    assert {module.training for module in network.modules()} == {is_training}


def test_estimate_leaves_the_network_as_it_was_when_a_batch_fails() -> None:
    network = one_layer().eval()

    def batches() -> Iterator[Tensor]:
        yield image(1.0, 3.0)
        raise RuntimeError("damaged frame")

    with pytest.raises(RuntimeError, match="damaged frame"):
        estimate_statistics(network, network, batches())
    assert statistics_of(network) == [5.0, 9.0]
    assert not any(module.training for module in network.modules())


def test_dropout_is_off_while_statistics_are_estimated() -> None:
    network = nn.Sequential(nn.Dropout(0.9), one_layer()).train()
    found = estimate_statistics(network, network, [image(1.0, 3.0)])
    assert [round(float(value), 5) for value in found["1.1"]] == [2.0, 2.0]


def test_estimate_builds_no_graph() -> None:
    network, seen = one_layer(), []
    estimate_statistics(network, lambda batch: seen.append(network(batch)), [image(1.0, 3.0)])
    assert not seen[0].requires_grad


def test_frozen_scale_and_offset_get_no_gradient_but_convolutions_do() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    freeze_affine(network)
    wanted = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert wanted == {"0.weight", "0.bias"}
