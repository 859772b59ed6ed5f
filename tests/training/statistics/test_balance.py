"""Class frequencies taken out of predictions: offsets of the logits, and where there are none to move."""

import copy

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.device import Compute
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.statistics.balance import balance_classes, predicted_frequencies


class Fixed(SegmentationNetwork):
    """Probabilities of three classes, everywhere the same: a quarter, three quarters, none."""

    head = "classifier"

    def __init__(self, *, has_bias: bool = True) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, 3, 1, bias=has_bias)
        nn.init.zeros_(self.classifier.weight)
        if self.classifier.bias is not None:
            self.classifier.bias.data = torch.tensor([0.25, 0.75, 1e-9]).log()

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(self.classifier(image), image)


IMAGES = [torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) for _ in range(3)]


def test_frequencies_are_mean_probabilities(compute: Compute) -> None:
    torch.testing.assert_close(predicted_frequencies(Fixed(), IMAGES, compute), torch.tensor([0.25, 0.75, 1e-9]))


def test_probabilities_are_divided_by_a_power_of_their_frequency(compute: Compute) -> None:
    network = Fixed()
    balance_classes(network, IMAGES, compute, strength=0.5)
    # 0.25 / 0.25^0.5 = 0.5 and 0.75 / 0.75^0.5 = 0.866; the third is raised as if it had 1e-5, to 1e-9 / 1e-5^0.5.
    expected = torch.tensor([0.5, 0.8660, 3.16e-7])
    torch.testing.assert_close(
        predicted_frequencies(network, IMAGES, compute), expected / expected.sum(), rtol=1e-3, atol=1e-9
    )


def test_strength_0_changes_nothing_and_1_makes_predicted_classes_equal(compute: Compute) -> None:
    network = Fixed()
    balance_classes(network, IMAGES, compute, strength=0.0)
    torch.testing.assert_close(predicted_frequencies(network, IMAGES, compute), torch.tensor([0.25, 0.75, 1e-9]))
    balance_classes(network, IMAGES, compute, strength=1.0)
    torch.testing.assert_close(
        predicted_frequencies(network, IMAGES, compute)[:2], torch.tensor([0.5, 0.5]), rtol=1e-3, atol=0.0
    )


def test_logits_of_a_real_network_move_by_the_offsets_that_are_told(network: DeepLabV2, compute: Compute) -> None:
    images = [torch.rand(1, 3, 32, 48)]
    balanced = copy.deepcopy(network).eval()
    before = balanced.logits(images[0])
    offsets = balance_classes(balanced, images, compute, strength=0.5)
    assert offsets.std() > 0
    torch.testing.assert_close(balanced.logits(images[0]) - before, offsets.view(1, -1, 1, 1).expand_as(before))


def test_network_without_offsets_is_refused_and_left_as_it_was(compute: Compute) -> None:
    with pytest.raises(ConfigError, match=r"the network has none of 3 whose change .*; set adaptation.balance to 0"):
        balance_classes(Fixed(has_bias=False), IMAGES, compute, strength=0.5)


class HiddenBehindNorm(Fixed):
    """As many offsets as classes, which a normalisation takes out again."""

    def forward(self, image: Tensor) -> NetworkOutput:
        logits = self.classifier(image)
        return NetworkOutput(logits - logits.mean(dim=1, keepdim=True), image)


def test_offsets_that_the_logits_do_not_show_are_refused_and_kept(compute: Compute) -> None:
    network = HiddenBehindNorm()
    bias = network.get_parameter("classifier.bias").clone()
    with pytest.raises(ConfigError, match="whose change shows in its logits"):
        balance_classes(network, IMAGES, compute, strength=0.5)
    torch.testing.assert_close(network.get_parameter("classifier.bias").data, bias.data)
