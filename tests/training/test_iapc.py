"""IAPC on one small batch: which network sees which view, what learns, what is kept, and the moving average."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.batches import TargetBatch
from training.checkpoint import NetworkSpec
from training.class_weights import RareClassWeights
from training.config import IapcConfig
from training.device import Compute
from training.losses import (
    importance_map,
    importance_weighted_loss,
    information_maximisation_loss,
    nearest_labels,
    prior_divergence,
    prototype_enhanced_loss,
    prototype_symmetric_loss,
)
from training.methods.iapc import Iapc, ema_update
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import upsample
from training.prototypes import class_prototypes, prototype_similarity

NUM_CLASSES = 11
MakeIapc = Callable[..., Iapc]


@pytest.fixture
def make_iapc(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> MakeIapc:
    def make(*, has_fixed_statistics: bool = False, **settings: float | str) -> Iapc:
        config = IapcConfig.model_validate({"name": "iapc", **settings})
        prior = torch.arange(1.0, NUM_CLASSES + 1) / 66
        return Iapc(
            network,
            spec.frame_input(),
            config,
            class_prior=prior,
            has_fixed_statistics=has_fixed_statistics,
            compute=compute,
        )

    return make


@pytest.fixture
def batch() -> TargetBatch:
    """Views differ, so that feeding one to the wrong network shows; three classes are absent from the labels."""
    rng = torch.Generator().manual_seed(0)
    views = [torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(3)]
    labels = torch.randint(0, 8, (2, 4, 6), generator=rng).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return TargetBatch(["a", "b"], views[0], views[1], views[2], labels)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def shake(network: nn.Module, *, seed: int) -> None:
    """Change every weight a little, so that one network taken for another shows."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.0 + 0.1 * torch.randn(parameter.shape, generator=rng))


def expected_terms(iapc: Iapc, batch: TargetBatch, config: IapcConfig) -> dict[str, Tensor]:
    """The four terms from the published functions, view by view."""
    with torch.no_grad():
        source = iapc.source(iapc.frame_input(batch.source))
        memory = iapc.memory(iapc.frame_input(batch.memory))
        student = iapc.student(iapc.frame_input(batch.student))
    log_probs = upsample(student.logits, (32, 48)).log_softmax(dim=1)
    weights = RareClassWeights(NUM_CLASSES, boost=7.0, device=torch.device("cpu")).update(batch.pseudo_labels)
    prototypes = class_prototypes(memory.features, memory.logits.argmax(dim=1), NUM_CLASSES)
    similarity = prototype_similarity(student.features, prototypes, config.absent)
    importance = importance_map(upsample(source.logits, (32, 48)), config.importance)
    agreed = nearest_labels(similarity.argmax(dim=1), (32, 48))
    return {
        "importance_weighted": importance_weighted_loss(log_probs, batch.pseudo_labels, importance, weights),
        "information": information_maximisation_loss(log_probs),
        "symmetric": prototype_symmetric_loss(log_probs, similarity, temperature=config.temperature),
        "enhanced": prototype_enhanced_loss(log_probs, agreed, batch.pseudo_labels, weights),
    }


@pytest.mark.parametrize(
    "settings", [{}, {"importance": "margin", "absent": "zero", "temperature": 1.0}], ids=["corrected", "paper"]
)
def test_each_term_sees_its_views_and_has_its_weight(
    make_iapc: MakeIapc, batch: TargetBatch, settings: dict[str, float | str]
) -> None:
    weights = {"importance_weighted": 2.0, "information": 3.0, "symmetric": 5.0, "enhanced": 7.0}
    # Fixed statistics: a forward pass then changes nothing, and can be repeated.
    iapc = make_iapc(has_fixed_statistics=True, **weights, **settings)
    shake(iapc.memory, seed=1)
    shake(iapc.student, seed=2)
    terms = iapc.losses(batch)
    expected = expected_terms(iapc, batch, iapc.config)
    assert terms.keys() == expected.keys()
    for name, term in terms.items():
        torch.testing.assert_close(term.detach(), weights[name] * expected[name], rtol=1e-4, atol=1e-5)
        assert float(expected[name]) > 1e-3


def test_default_weights_are_the_papers(make_iapc: MakeIapc) -> None:
    config = make_iapc().config
    weights = (config.importance_weighted, config.information, config.symmetric, config.enhanced, config.diversity)
    assert weights == (0.2, 0.5, 0.04, 2.0, 0.0)
    assert config.ema_momentum == 0.9999


def test_diversity_is_added_to_the_information_term(make_iapc: MakeIapc, batch: TargetBatch) -> None:
    iapc = make_iapc(has_fixed_statistics=True, diversity=2.0)
    with torch.no_grad():
        logits = upsample(iapc.student(iapc.frame_input(batch.student)).logits, (32, 48))
    log_probs = logits.log_softmax(dim=1)
    expected = 0.5 * information_maximisation_loss(log_probs) + 2.0 * prior_divergence(log_probs, iapc.class_prior)
    torch.testing.assert_close(iapc.losses(batch)["information"].detach(), expected, rtol=1e-4, atol=1e-5)


def test_only_the_student_learns_and_its_scales_and_offsets_do_not(make_iapc: MakeIapc, batch: TargetBatch) -> None:
    iapc = make_iapc()
    torch.autograd.backward(torch.stack(list(iapc.losses(batch).values())).sum())
    layers = dict(iapc.student.named_modules())
    for name, parameter in iapc.student.named_parameters():
        is_affine = isinstance(layers[name.rpartition(".")[0]], nn.BatchNorm2d)
        assert (parameter.grad is None) == is_affine, name
    others = [*iapc.source.parameters(), *iapc.memory.parameters()]
    assert all(parameter.grad is None for parameter in others)


@pytest.mark.parametrize("has_fixed_statistics", [False, True])
def test_source_normalises_by_its_statistics_and_the_others_by_the_batch_unless_fixed(
    make_iapc: MakeIapc, batch: TargetBatch, has_fixed_statistics: bool
) -> None:
    iapc = make_iapc(has_fixed_statistics=has_fixed_statistics)
    before = weights_of(iapc.source)
    iapc.losses(batch)
    assert same(weights_of(iapc.source), before)
    assert same(weights_of(iapc.student), before) == has_fixed_statistics
    assert (iapc.source.training, iapc.memory.training) == (False, not has_fixed_statistics)
    assert iapc.student.training is not has_fixed_statistics


def test_networks_start_equal_and_share_no_tensor(make_iapc: MakeIapc) -> None:
    iapc = make_iapc()
    assert same(weights_of(iapc.source), weights_of(iapc.student))
    assert same(weights_of(iapc.source), weights_of(iapc.memory))
    pointers = [tensor.data_ptr() for net in (iapc.source, iapc.memory, iapc.student) for tensor in net.parameters()]
    assert len(pointers) == len(set(pointers))


def test_after_a_step_the_memory_moves_towards_the_student_and_the_source_stays(make_iapc: MakeIapc) -> None:
    iapc = make_iapc(ema_momentum=0.75)
    start = iapc.source.get_parameter("classifier.0.weight").detach().clone()
    with torch.no_grad():
        iapc.student.get_parameter("classifier.0.weight").add_(4.0)
    iapc.after_step()
    torch.testing.assert_close(iapc.memory.get_parameter("classifier.0.weight").detach(), start + 1.0)
    torch.testing.assert_close(iapc.student.get_parameter("classifier.0.weight").detach(), start + 4.0)
    assert torch.equal(iapc.source.get_parameter("classifier.0.weight"), start)


def test_state_holds_memory_and_class_weights(make_iapc: MakeIapc, batch: TargetBatch) -> None:
    first = make_iapc()
    first.losses(batch)
    first.after_step()
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    second = make_iapc()
    assert not same(weights_of(second.memory), weights_of(first.memory))
    second.load_state(state)
    assert same(weights_of(second.memory), weights_of(first.memory))
    weights = [iapc.class_weights.update(batch.pseudo_labels) for iapc in (first, second)]
    assert torch.equal(weights[0], weights[1])
    assert float(first.class_weights.often.max()) > 1.5


def layer(value: float, running_mean: float) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(1)
    nn.init.constant_(norm.weight, value)
    nn.init.constant_(norm.bias, -value)
    torch.nn.init.constant_(norm.running_mean, running_mean)  # type: ignore[arg-type]
    return norm


def test_moving_average_moves_by_one_ten_thousandth_and_copies_statistics() -> None:
    memory, student = layer(0.0, 2.0), layer(1.0, 8.0)
    with torch.no_grad():
        ema_update(memory, student, momentum=0.9999)
    assert float(memory.weight.detach()) == pytest.approx(1e-4, rel=1e-3)
    assert float(memory.bias.detach()) == pytest.approx(-1e-4, rel=1e-3)
    assert memory.running_mean is not None
    assert float(memory.running_mean) == 8.0
    assert float(student.weight.detach()) == 1.0


def test_moving_average_keeps_the_start_for_a_long_time() -> None:
    memory, student = layer(0.0, 0.0).double(), layer(1.0, 0.0).double()
    with torch.no_grad():
        for _ in range(900):
            ema_update(memory, student, momentum=0.999)
    # The paper's 0.9999 ** 9000 = 0.407; here 0.999 ** 900.
    assert 1.0 - float(memory.weight.detach()) == pytest.approx(0.999**900, rel=1e-6)


def test_moving_average_stays_between_its_ends() -> None:
    for momentum, expected in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        memory, student = layer(0.0, 0.0), layer(1.0, 0.0)
        with torch.no_grad():
            ema_update(memory, student, momentum=momentum)
        assert float(memory.weight.detach()) == expected
