"""HCL: its losses worked by hand, and when its memories move."""

import copy
import math

import pytest
import torch
from torch import Tensor

from training.checkpoint import NetworkSpec
from training.device import Compute
from training.losses.historical import agreement, instance_loss, reliability
from training.methods.hcl import Hcl, HclConfig
from training.methods.method import Setting
from training.networks.deeplab_v2 import DeepLabV2
from training.views.batch import TargetBatch

NUM_CLASSES = 11


def logits_of(*pixels: list[float]) -> Tensor:
    """(1, C, 1, num pixels) logits of probabilities."""
    return torch.tensor(pixels).T.log().reshape(1, len(pixels[0]), 1, len(pixels))


@pytest.fixture
def setting(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> Setting:
    prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
    torch.manual_seed(0)
    return Setting(copy.deepcopy(network), spec.frame_input(), prior, compute, iterations=10)


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    weak, student = (torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(2))
    labels = torch.randint(0, NUM_CLASSES, (2, 32, 48), generator=rng)
    return TargetBatch(["a", "b"], memory=None, weak=weak, student=student, pseudo_labels=labels, importance=None)


def test_agreement_falls_with_the_divergence() -> None:
    # KL((1/2, 1/2) || (1/4, 3/4)) = log 2 / 2 + log(2/3) / 2 = log(4/3) / 2, and of the same prediction 0.
    found = agreement(logits_of([0.5, 0.5], [0.9, 0.1]), logits_of([0.25, 0.75], [0.9, 0.1]))
    assert found.flatten().tolist() == pytest.approx([math.sqrt(3 / 4), 1.0])


def test_reliability_lies_around_one() -> None:
    # Entropy as a share of log 4: about 0, 1/2 and 1; the first and last are clipped.
    found = reliability(logits_of([1, 1e-30, 1e-30, 1e-30], [0.97, 0.01, 0.01, 0.01], [0.25] * 4)).flatten()
    share = -(0.97 * math.log(0.97) + 0.03 * math.log(0.01)) / math.log(4)
    assert found.tolist() == pytest.approx([1.1, 1.1 - share, 0.9])


def test_contrast_of_pixels_is_the_mean_over_keys_of_the_same_class() -> None:
    # Keys e1, e2, e2 of classes 0, 0, 1; the query e1 of class 0, at temperature 1 with keys as reliable as 1, 1, 2:
    # exponents e, 1 and 2, their sum e + 3, so -(log(e / (e + 3)) + log(1 / (e + 3))) / 2. The query e2 of class 1 has
    # exponents 1, e and 2e and one key of its class. The second query is as the first.
    queries = torch.tensor([[[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    keys = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    labels, reliable = torch.tensor([[0, 0, 1]]), torch.tensor([[1.0, 1.0, 2.0]])
    first = math.log(math.e + 3) - 0.5
    last = math.log(1 + 3 * math.e) - math.log(2 * math.e)
    assert float(instance_loss(queries, keys, labels, reliable, temperature=1.0)) == pytest.approx(
        (2 * first + last) / 3
    )


def test_pixels_without_a_label_take_no_part() -> None:
    rng = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(1, 3, 4, generator=rng) for _ in range(2))
    labels, reliable = torch.tensor([[0, 255, 1]]), torch.ones(1, 3)
    whole = instance_loss(queries, keys, labels, reliable, temperature=0.1)
    left = instance_loss(queries[:, ::2], keys[:, ::2], labels[:, ::2], reliable[:, ::2], temperature=0.1)
    assert float(whole) == pytest.approx(float(left))
    assert float(instance_loss(queries, keys, torch.full((1, 3), 255), reliable, temperature=0.1)) == 0


def test_memories_become_the_student_after_their_share_of_the_steps(setting: Setting) -> None:
    method = Hcl(HclConfig(name="hcl", refresh=0.2, ema_momentum=0.5), setting)

    def first_of(memory: torch.nn.Module) -> Tensor:
        return next(memory.parameters()).detach().clone()

    start = first_of(method.student)
    for moved, historical, momentum in ((1.0, 0.0, 0.5), (2.0, 2.0, 2.0), (3.0, 2.0, 2.5)):
        with torch.no_grad():
            next(method.student.parameters()).copy_(start + moved)
        method.after_step()
        torch.testing.assert_close(first_of(method._historical.network), start + historical)
        torch.testing.assert_close(first_of(method._momentum.network), start + momentum)


def test_contrast_reaches_projection_and_features_and_no_memory(setting: Setting, batch: TargetBatch) -> None:
    method = Hcl(HclConfig(name="hcl", pseudo_label=0.0, cells=8), setting)
    terms = method.losses(batch)
    assert set(terms) == {"instances"}
    terms["instances"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.heads.parameters())
    assert method.student.get_parameter("layer3.0.conv1.weight").grad is not None
    memories = (method._historical.network, method._momentum.network, method._keys)
    assert not any(p.requires_grad for memory in memories for p in memory.parameters())


def test_labels_count_less_where_memories_disagree(setting: Setting, batch: TargetBatch) -> None:
    method = Hcl(HclConfig(name="hcl", instances=0.0, rare_boost=1.0), setting)
    with torch.no_grad():
        together = float(method.losses(batch)["pseudo_label"])
        for parameter in method._historical.network.get_submodule("classifier").parameters():
            parameter.neg_()
        apart = float(method.losses(batch)["pseudo_label"])
    assert apart < 0.9 * together
