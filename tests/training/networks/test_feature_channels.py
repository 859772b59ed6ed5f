"""Channels of features are counted by looking, at no cost to the network."""

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.feature_channels import feature_channels
from training.networks.network import NetworkOutput, SegmentationNetwork


class OneSize(SegmentationNetwork):
    """Takes images of 96 x 96 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(3 * 96 * 96, 8)

    def forward(self, image: Tensor) -> NetworkOutput:
        features = self.trunk(image.flatten(1))[:, :, None, None]
        return NetworkOutput(features, features)


def test_network_is_left_as_it_was(network: DeepLabV2) -> None:
    network.train()
    network.layer1.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert feature_channels(network) == 256
    assert network.training
    assert not network.layer1.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_multiple_that_the_network_takes_is_kept_to() -> None:
    class Picky(OneSize):
        size_multiple = 96

    assert feature_channels(Picky()) == 8


def test_network_for_one_size_is_refused_with_why() -> None:
    with pytest.raises(
        ConfigError, match=r"cannot compute on an image of \(64, 64\) \(RuntimeError: .*choose a method"
    ):
        feature_channels(OneSize())
