"""The sum of dilated convolutions by taps is the sum of dilated convolutions."""

import pytest
import torch
from torch import Tensor, nn

from training.networks.deeplab_v2 import DeepLabV2
from training.networks.heads import SumHead
from training.networks.tap_sum import tap_sum


def branches(dilations: tuple[int, ...]) -> list[nn.Conv2d]:
    torch.manual_seed(0)
    return [nn.Conv2d(5, 3, 3, padding=d, dilation=d).double() for d in dilations]


def by_convolution(features: Tensor, convolutions: list[nn.Conv2d]) -> Tensor:
    return torch.stack([convolution(features) for convolution in convolutions]).sum(dim=0)


# The last two: taps that leave the map altogether, and a map of a single row.
@pytest.mark.parametrize(
    ("dilations", "hw"),
    [((1,), (4, 5)), ((1, 2), (6, 7)), ((6, 12, 18, 24), (9, 30)), ((6, 24), (3, 4)), ((2,), (1, 9))],
)
def test_values_and_gradients_are_those_of_the_convolutions(dilations: tuple[int, ...], hw: tuple[int, int]) -> None:
    convolutions = branches(dilations)
    features = torch.randn(2, 5, *hw, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, *hw, dtype=torch.float64)
    leaves = [features, *(p for convolution in convolutions for p in convolution.parameters())]
    expected = by_convolution(features, convolutions)
    found = tap_sum(features, convolutions)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad((found * weights).sum(), leaves)
    for gradient, wanted in zip(gradients, torch.autograd.grad((expected * weights).sum(), leaves), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)


def test_sum_is_in_float32_whatever_the_taps_are_rounded_to() -> None:
    convolutions = branches((1, 2))
    features = torch.randn(1, 5, 6, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tap_sum(features, [convolution.float() for convolution in convolutions])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, by_convolution(features, convolutions), rtol=0.02, atol=0.05)


@pytest.mark.parametrize("count", [2, 4])
def test_network_has_the_same_logits_either_way_and_the_same_weights(count: int) -> None:
    network = DeepLabV2("resnet18", 7, branches=count).eval()
    assert isinstance(network.classifier, SumHead)
    for branch in network.classifier:
        nn.init.normal_(branch.get_parameter("weight"), std=0.1)
        nn.init.normal_(branch.get_parameter("bias"))
    image, names = torch.rand(1, 3, 40, 56), list(network.state_dict())
    with torch.no_grad():
        expected = network.logits(image)
        network.sum_by_taps(True)
        found = network.logits(image)
        network.sum_by_taps(False)
        assert torch.equal(network.logits(image), expected)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert list(network.state_dict()) == names
