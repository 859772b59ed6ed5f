"""UR: what its additional classifiers are, what they teach, and networks that have none to copy."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.methods.method import Setting
from training.methods.uncertainty_reduction import (
    UncertaintyReduction,
    UncertaintyReductionConfig,
    disagreement,
)
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.views.batch import TargetBatch

NUM_CLASSES = 11


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    student = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, NUM_CLASSES, (2, 32, 48), generator=rng)
    return TargetBatch(["a", "b"], memory=None, weak=None, student=student, pseudo_labels=labels, importance=None)


def method_of(setting: Setting, **settings: Any) -> UncertaintyReduction:
    return UncertaintyReduction(UncertaintyReductionConfig(name="uncertainty_reduction", **settings), setting)


def test_disagreement_is_summed_over_classifiers() -> None:
    # Probabilities (1/2, 1/2) of the network, of the others (3/4, 1/4) and the same: squares of 1/4 over two classes.
    own, other = (torch.tensor(p).log().reshape(1, 2, 1, 1).requires_grad_() for p in ([0.5, 0.5], [0.75, 0.25]))
    found = disagreement([other, other, own.detach()], own)
    assert float(found.detach()) == pytest.approx(2 / 16)
    found.backward()  # type: ignore[no-untyped-call]
    assert own.grad is None
    assert other.grad is not None


def test_classifiers_begin_as_the_network_s_own(setting: Setting, batch: TargetBatch) -> None:
    method = method_of(setting, dropout=0.0)
    assert float(method.losses(batch)["agreement"].detach()) == pytest.approx(0, abs=1e-9)
    assert len(list(method.heads.children())) == 4
    own = {id(parameter) for parameter in method.student.parameters()}
    assert not any(id(parameter) in own for parameter in method.heads.parameters())


def test_agreement_trains_additional_classifiers_and_the_trunk(setting: Setting, batch: TargetBatch) -> None:
    method = method_of(setting)
    term = method.losses(batch)["agreement"]
    assert float(term.detach()) > 0
    term.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.heads.parameters())
    assert method.student.get_parameter("layer4.0.conv1.weight").grad is not None
    assert all(p.grad is None for name, p in method.student.named_parameters() if name.startswith("classifier."))


def test_no_hook_is_left(setting: Setting, batch: TargetBatch) -> None:
    method = method_of(setting)
    method.losses(batch)
    assert not any(module._forward_hooks for module in method.student.modules())


class Unnamed(DeepLabV2):
    head = ""


class Listing(SegmentationNetwork):
    """Its classifier is given a list of maps."""

    head = "classifier"

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(3, NUM_CLASSES, 1)

        def forward(self, maps: list[Tensor]) -> Tensor:
            logits: Tensor = self.inner(maps[0])
            return logits

    def __init__(self) -> None:
        super().__init__()
        self.classifier = self.Classifier()

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(self.classifier([image]), image)


class Bypassing(Listing):
    """Its classifier is never called."""

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(self.classifier.inner(image), image)


def test_network_that_names_no_classifier_is_refused(setting: Setting) -> None:
    unnamed = Setting(
        Unnamed("resnet18", NUM_CLASSES), setting.frame_input, setting.class_prior, setting.compute, iterations=1
    )
    with pytest.raises(ConfigError, match=r"copies the network's classifier, and the network names none"):
        method_of(unnamed)


@pytest.mark.parametrize(("network", "got"), [(Listing, "1 input"), (Bypassing, "no call at all")])
def test_classifier_that_maps_no_map_is_refused(
    setting: Setting, batch: TargetBatch, network: type[SegmentationNetwork], got: str
) -> None:
    other = Setting(network(), setting.frame_input, setting.class_prior, setting.compute, iterations=1)
    with pytest.raises(ConfigError, match=f"'classifier' must turn one map .* got {got}"):
        method_of(other).losses(batch)
