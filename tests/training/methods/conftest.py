"""What most methods are tested on."""

import copy

import pytest
import torch

from training.checkpoint import NetworkSpec
from training.device import Compute
from training.methods.method import Setting
from training.networks.deeplab_v2 import DeepLabV2


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    """A network of its own for each test, and classes that are all equally frequent."""
    num_classes = spec.label_space.num_classes
    prior = torch.full((num_classes,), 1 / num_classes)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=10)
