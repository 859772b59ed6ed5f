"""What the parts of training must not assume of a network: its strides, its layers, or that all of it learns."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.errors import CheckpointError
from training.checkpoint import load_tensors, read_tensors, save_tensors
from training.device import Compute
from training.frame_network import FrameInput
from training.methods.iapc import Iapc, IapcConfig
from training.methods.method import Setting
from training.networks.config import INPUT_CONVENTIONS
from training.networks.network import scaled_hw
from training.networks.wrapped import WrappedNetwork
from training.statistics.batch_norm import estimate_statistics, use_batch_statistics
from training.statistics.label_free import score
from training.views.batch import TargetBatch

NUM_CLASSES = 4


class Strides(nn.Module):
    """Logits at one stride, features at another; dropout between, and one part that its author froze."""

    def __init__(self, logits_stride: int = 1, feature_stride: int = 8) -> None:
        super().__init__()
        self.stride = logits_stride
        self.trunk = nn.Conv2d(3, 6, feature_stride, stride=feature_stride)
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.Conv2d(6, 6, 1).requires_grad_(False)
        self.classifier = nn.Conv2d(6, NUM_CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.dropout(self.frozen(self.trunk(image)))
        hw = (image.shape[2] // self.stride, image.shape[3] // self.stride)
        logits: Tensor = F.interpolate(self.classifier(features), size=hw, mode="bilinear")
        return logits


def wrapped(network: nn.Module, feature_layer: str = "trunk") -> WrappedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    return WrappedNetwork(network, feature_layer=feature_layer)


def iapc_of(network: WrappedNetwork, compute: Compute, *, is_fixed: bool = False) -> Iapc:
    frame_input, prior = FrameInput(INPUT_CONVENTIONS["rgb_imagenet"]), torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    setting = Setting(network, frame_input, prior, compute, iterations=10, has_fixed_statistics=is_fixed)
    return Iapc(IapcConfig(name="iapc", importance_view="crop"), setting)


def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    memory, source, student = (torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8, generator=rng) for _ in "msx")
    labels = torch.randint(0, NUM_CLASSES, (2, 32, 64), generator=rng)
    return TargetBatch(["a", "b"], memory, source, student, labels, None)


# Strides


@pytest.mark.parametrize("logits_stride", [1, 4, 16])
@pytest.mark.parametrize("feature_stride", [4, 8, 32])
def test_every_term_is_finite_and_teaches_at_any_stride(
    compute: Compute, logits_stride: int, feature_stride: int
) -> None:
    iapc = iapc_of(wrapped(Strides(logits_stride, feature_stride)), compute)
    terms = iapc.losses(batch())
    assert all(bool(term.isfinite()) for term in terms.values())
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    gradient = iapc.student.get_parameter("inner.trunk.weight").grad
    assert gradient is not None
    assert bool(gradient.isfinite().all() and (gradient != 0).any())


def test_pseudo_label_sizes_are_multiples_that_the_network_takes() -> None:
    assert scaled_hw((96, 224), 0.75, 32) == (64, 160)
    assert scaled_hw((100, 200), 1.25, 1) == (125, 250)
    assert scaled_hw((20, 20), 0.25, 5) == (10, 10)
    assert scaled_hw((20, 20), 0.1, 1) == (8, 8)


# Dropout


def dropping(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules() if isinstance(module, nn.Dropout)]


@pytest.mark.parametrize("is_fixed", [False, True])
def test_only_the_student_drops_out_and_only_while_it_trains_by_batch(compute: Compute, is_fixed: bool) -> None:
    iapc = iapc_of(wrapped(Strides()).train(), compute, is_fixed=is_fixed)
    assert iapc.source is not None
    assert (dropping(iapc.source), dropping(iapc.memory), dropping(iapc.student)) == ([False], [False], [not is_fixed])


class NormThatDrops(nn.BatchNorm2d):
    """As timm has it: what follows the norm is inside it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop = nn.Dropout(0.5)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        dropped: Tensor = self.drop(super().forward(input))
        return dropped


def test_batch_statistics_switch_on_no_dropout_inside_a_norm() -> None:
    network = nn.Sequential(NormThatDrops(3), nn.BatchNorm2d(3)).train()
    use_batch_statistics(network)
    assert [module.training for module in network] == [True, True]
    assert dropping(network) == [False]


def test_statistics_are_estimated_without_dropout_inside_a_norm() -> None:
    network = nn.Sequential(NormThatDrops(3), nn.BatchNorm2d(3)).train()
    images = [torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 2.0]
    mean, var = estimate_statistics(network, network, images)["1"]
    torch.testing.assert_close(mean, torch.zeros(3), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(var, torch.ones(3), atol=0.02, rtol=0.0)
    assert dropping(network) == [True]


def test_scores_are_those_of_the_whole_network(compute: Compute) -> None:
    network = wrapped(Strides()).train()
    images = [torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))]
    first, second = (score(network.train(), images, compute) for _ in range(2))
    assert first == second


# What learns


def test_what_the_network_keeps_from_learning_stays_so_in_the_student(compute: Compute) -> None:
    network = wrapped(Strides())
    student = iapc_of(network, compute).student
    assert {name for name, parameter in student.named_parameters() if not parameter.requires_grad} == {
        "inner.frozen.weight",
        "inner.frozen.bias",
    }


# Files


class Tied(nn.Module):
    """Two names for one weight, and a mask with infinities."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))


def test_tied_weights_and_masks_of_infinities_are_saved_and_loaded(tmp_path: Path) -> None:
    network, path = Tied(), tmp_path / "tied.safetensors"
    save_tensors(path, network.state_dict(), {})
    other = Tied()
    load_tensors(other, read_tensors(path)[0], path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert other.second.weight is other.first.weight


def test_infinity_where_a_fresh_network_has_none_is_refused(tmp_path: Path) -> None:
    network, path = Tied(), tmp_path / "damaged.safetensors"
    damaged = {**network.state_dict(), "first.bias": torch.full((4,), torch.inf)}
    with pytest.raises(CheckpointError, match=r"1 not finite \(first.bias\)"):
        load_tensors(network, damaged, path)
