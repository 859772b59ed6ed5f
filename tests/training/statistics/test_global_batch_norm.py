"""Batch norm in two processes, in float64: outputs, gradients and statistics of the whole batch.

Run as a program under torchrun (`test_global_batch_norm.py FOLDER`), this file is what the two processes do.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.device import Compute
from training.distributed import ALONE, World, join_world
from training.statistics.batch_norm import estimate_statistics
from training.statistics.global_batch_norm import GlobalBatchNorm2d, by_global_batch, by_own_batch

RunTwo = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")
TWO = Compute(CPU, "fp32", World(0, 2))
# Float64 sums of some hundred values, in another order.
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}


def image_batch() -> Tensor:
    """Four images (4, 3, 6, 8), of which the second half has another mean and spread."""
    images = torch.randn(4, 3, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([images[:2], 3.0 * images[2:] + 5.0])


def layers(*, momentum: float | None = 0.1, affine: bool = True) -> nn.Sequential:
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum, affine=affine), nn.ReLU()).double()
    for parameter in network.parameters():
        parameter.data.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    return network


def normalise(world: World, network: nn.Sequential) -> dict[str, Any]:
    """Two forward passes and a backward pass; the loss is the mean over processes of a mean that is not linear."""
    by_global_batch(network, Compute(CPU, "fp32", world))
    assert world is ALONE or type(network[0]) is GlobalBatchNorm2d
    images = image_batch()[list(world.places(4))].requires_grad_(True)
    for _ in range(2):
        output = network(images)
    output.square().mul(torch.arange(8.0)).mean().backward()
    assert images.grad is not None
    return {
        "output": output.detach(),
        "images": images.grad / world.size,
        "parameters": [world.mean(parameter.grad) for parameter in network.parameters() if parameter.grad is not None],
        "state": by_own_batch(network).state_dict(),
        "types": [type(layer).__name__ for layer in network],
    }


VARIANTS: dict[str, dict[str, Any]] = {
    "affine": {},
    "cumulative": {"momentum": None},
    "plain": {"affine": False},
}


@pytest.fixture(scope="module")
def both(run_two: RunTwo, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("both")
    done = run_two(__file__, str(folder))
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_batch_norm_of_two_processes_is_that_of_the_whole_batch(both: list[dict[str, Any]], variant: str) -> None:
    expected = normalise(ALONE, layers(**VARIANTS[variant]))
    first, second = (found[variant] for found in both)
    for name in ("output", "images"):
        torch.testing.assert_close(torch.cat([first[name], second[name]]), expected[name], **CLOSE)
    for found in (first, second):
        torch.testing.assert_close(found["parameters"], expected["parameters"], **CLOSE)
        torch.testing.assert_close(found["state"], expected["state"], **CLOSE)
        assert found["types"] == expected["types"] == ["BatchNorm2d", "ReLU"]


def test_evaluation_and_estimates_are_left_to_one_process() -> None:
    """No process group is joined here: a layer that asked another process would raise."""
    network, plain = by_global_batch(layers().train(), TWO).eval(), layers().eval()
    assert type(network[0]) is GlobalBatchNorm2d
    assert torch.equal(network(image_batch()), plain(image_batch()))
    found = estimate_statistics(by_own_batch(network), network, [image_batch()])
    torch.testing.assert_close(found, estimate_statistics(plain, plain, [image_batch()]), **CLOSE)


def test_statistics_and_parameters_are_the_same_tensors_before_during_and_after() -> None:
    network = layers()
    before = dict(network.named_parameters()) | dict(network.named_buffers())
    network[0].requires_grad_(False)
    for changed in (by_global_batch(network, TWO), by_own_batch(network)):
        after = dict(changed.named_parameters()) | dict(changed.named_buffers())
        assert after.keys() == before.keys()
        assert all(after[name] is tensor for name, tensor in before.items())
        assert not any(parameter.requires_grad for parameter in changed.parameters())


def test_half_precision_is_normalised_in_float32_and_returned_as_it_came() -> None:
    layer = GlobalBatchNorm2d(3)
    image = (image_batch() + 100.0).bfloat16()
    found = layer(image)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, nn.BatchNorm2d(3)(image.float()).bfloat16())


class Activated(nn.BatchNorm2d):
    """Like the layers of some libraries, which have an activation built in."""


def test_layer_that_cannot_be_synchronised_is_named_unless_its_statistics_are_fixed() -> None:
    network = nn.Sequential(nn.Sequential(Activated(4)))
    by_global_batch(network.eval(), TWO)
    with pytest.raises(
        ConfigError, match=r"layer 0\.0 is of type Activated, which normalises by the batch of one process"
    ):
        by_global_batch(network.train(), TWO)
    by_global_batch(network.train(), Compute(CPU, "fp32"))


def test_gpus_have_the_layer_of_torch() -> None:
    """Made here, run there: it computes on GPUs alone."""
    network = by_global_batch(layers(), Compute(torch.device("cuda"), "fp32", World(0, 2)))
    assert type(network[0]) is nn.SyncBatchNorm
    assert network.state_dict().keys() == layers().state_dict().keys()
    assert type(by_own_batch(network)[0]) is nn.BatchNorm2d


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_world() as joined:
        results = {name: normalise(joined, layers(**options)) for name, options in VARIANTS.items()}
        torch.save(results, Path(sys.argv[1]) / f"{joined.rank}.pt")
