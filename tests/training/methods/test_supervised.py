"""Supervised training of the source network: mean cross-entropy over the labelled pixels."""

import math

import pytest
import torch
import torch.nn.functional as F

from runtime.labels import IGNORE_INDEX
from training.checkpoint import NetworkSpec
from training.device import Compute
from training.methods.supervised import Supervised
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import upsample
from training.views.batch import SourceBatch


@pytest.fixture
def supervised(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Supervised:
    return Supervised(network, spec.frame_input(), compute)


def batch(labels: torch.Tensor) -> SourceBatch:
    rng = torch.Generator().manual_seed(0)
    return SourceBatch(["a", "b"], torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng), labels)


def test_loss_is_the_mean_over_labelled_pixels(supervised: Supervised) -> None:
    labels = torch.randint(0, 11, (2, 32, 48), generator=torch.Generator().manual_seed(1))
    labels[:, :16] = IGNORE_INDEX
    given = batch(labels)
    supervised.student.eval()
    with torch.no_grad():
        logits = upsample(supervised.student(supervised.frame_input(given.images)).logits, (32, 48))
        loss = supervised.losses(given)["cross_entropy"]
    torch.testing.assert_close(loss, F.cross_entropy(logits[:, :, 16:], labels[:, 16:]))


def test_logits_are_upsampled_as_the_network_wants_it(supervised: Supervised) -> None:
    given = batch(torch.randint(0, 11, (2, 32, 48), generator=torch.Generator().manual_seed(1)))
    supervised.student.eval().align_corners = True
    with torch.no_grad():
        logits = supervised.student.logits(supervised.frame_input(given.images))
        loss = supervised.losses(given)["cross_entropy"]
    expected = F.cross_entropy(upsample(logits, (32, 48), align_corners=True), given.labels)
    torch.testing.assert_close(loss, expected)
    assert float((loss - F.cross_entropy(upsample(logits, (32, 48)), given.labels)).abs()) > 1e-4


def test_batch_without_a_labelled_pixel_costs_nothing(supervised: Supervised) -> None:
    loss = supervised.losses(batch(torch.full((2, 32, 48), IGNORE_INDEX)))["cross_entropy"]
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in supervised.student.parameters() if parameter.grad is not None]
    assert float(loss.detach()) == 0.0
    assert gradients
    assert all(bool((gradient == 0).all()) for gradient in gradients)


def test_a_network_that_knows_nothing_costs_log_of_the_number_of_classes(supervised: Supervised) -> None:
    for branch in range(4):
        torch.nn.init.zeros_(supervised.student.get_parameter(f"classifier.{branch}.weight"))
    loss = supervised.losses(batch(torch.zeros(2, 32, 48, dtype=torch.int64)))["cross_entropy"]
    assert float(loss.detach()) == pytest.approx(math.log(11), rel=1e-5)


def test_everything_learns(supervised: Supervised) -> None:
    assert supervised.student.training
    torch.autograd.backward(supervised.losses(batch(torch.zeros(2, 32, 48, dtype=torch.int64)))["cross_entropy"])
    assert all(parameter.grad is not None for parameter in supervised.student.parameters())


def test_there_is_no_state_besides_the_student(supervised: Supervised) -> None:
    assert supervised.state() == {}
