"""IAPC on one small batch: which network sees which view, what learns, what is kept, and the moving average."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runtime.images import write_png
from training.checkpoint import NetworkSpec
from training.data.layouts import folder_images
from training.device import Compute
from training.labels.class_weights import RareClassWeights
from training.labels.importance import ImportanceMaps, make_importance_maps
from training.losses.prototypes import class_prototypes, feature_labels, prototype_similarity
from training.losses.terms import (
    importance_map,
    importance_weighted_loss,
    information_maximisation_loss,
    nearest_labels,
    prior_divergence,
    prototype_enhanced_loss,
    prototype_symmetric_loss,
)
from training.methods.iapc import Iapc, IapcConfig
from training.methods.method import Setting
from training.methods.parts.ema import ema_update
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import SegmentationNetwork, upsample
from training.views.batch import TargetBatch

NUM_CLASSES = 11
MakeIapc = Callable[..., Iapc]


@pytest.fixture
def make_iapc(network: DeepLabV2, spec: NetworkSpec, compute: Compute) -> MakeIapc:
    def make(*, has_fixed_statistics: bool = False, **settings: float | str) -> Iapc:
        config = IapcConfig.model_validate({"name": "iapc", "importance_view": "crop", **settings})
        prior = torch.arange(1.0, NUM_CLASSES + 1) / 66
        setting = Setting(
            copy.deepcopy(network), spec.frame_input(), prior, compute, has_fixed_statistics, iterations=10
        )
        return Iapc(config, setting)

    return make


@pytest.fixture
def batch() -> TargetBatch:
    """Views differ, so that feeding one to the wrong network shows; three classes are absent from the labels."""
    rng = torch.Generator().manual_seed(0)
    views = [torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(3)]
    labels = torch.randint(0, 8, (2, 4, 6), generator=rng).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return TargetBatch(
        ["a", "b"], memory=views[0], weak=views[1], student=views[2], pseudo_labels=labels, importance=None
    )


def source_of(iapc: Iapc) -> SegmentationNetwork:
    assert iapc.source is not None
    return iapc.source


def view_of(batch: TargetBatch) -> Tensor:
    assert batch.weak is not None
    return batch.weak


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def modes_of(network: nn.Module) -> set[bool]:
    """Which of a network's batch-norm layers normalise by the batch."""
    return {module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d)}


def shake(network: nn.Module, *, seed: int) -> None:
    """Change every weight a little, so that one network taken for another shows."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.0 + 0.1 * torch.randn(parameter.shape, generator=rng))


def expected_terms(iapc: Iapc, batch: TargetBatch, config: IapcConfig) -> dict[str, Tensor]:
    """The four terms from the published functions, view by view."""
    with torch.no_grad():
        source_logits = source_of(iapc).logits(iapc.frame_input(view_of(batch)))
        memory = iapc.memory(iapc.frame_input(batch.memory))
        student = iapc.student(iapc.frame_input(batch.student))
    corners = iapc.student.align_corners
    log_probs = upsample(student.logits, (32, 48), align_corners=corners).log_softmax(dim=1)
    weights = RareClassWeights(NUM_CLASSES, boost=7.0, device=torch.device("cpu")).update(batch.pseudo_labels)
    remembered = feature_labels(memory.logits, (32, 48), (4, 6), align_corners=corners)
    prototypes = class_prototypes(memory.features, remembered, NUM_CLASSES)
    similarity = prototype_similarity(student.features, prototypes, config.absent)
    importance = importance_map(upsample(source_logits, (32, 48), align_corners=corners), config.importance)
    agreed = nearest_labels(similarity.argmax(dim=1), (32, 48))
    return {
        "importance_weighted": importance_weighted_loss(log_probs, batch.pseudo_labels, importance, weights),
        "information": information_maximisation_loss(log_probs),
        "symmetric": prototype_symmetric_loss(
            log_probs, similarity, temperature=config.temperature, align_corners=corners
        ),
        "enhanced": prototype_enhanced_loss(log_probs, agreed, batch.pseudo_labels, weights),
    }


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    "settings", [{}, {"importance": "margin", "absent": "zero", "temperature": 1.0}], ids=["corrected", "paper"]
)
def test_each_term_sees_its_views_and_has_its_weight(
    make_iapc: MakeIapc,
    network: DeepLabV2,
    batch: TargetBatch,
    settings: dict[str, float | str],
    align_corners: bool,
) -> None:
    network.align_corners = align_corners
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
    others = [*source_of(iapc).parameters(), *iapc.memory.parameters()]
    assert all(parameter.grad is None for parameter in others)


@pytest.mark.parametrize("has_fixed_statistics", [False, True])
def test_source_normalises_by_its_statistics_and_the_others_by_the_batch_unless_fixed(
    make_iapc: MakeIapc, batch: TargetBatch, has_fixed_statistics: bool
) -> None:
    iapc = make_iapc(has_fixed_statistics=has_fixed_statistics)
    before = weights_of(source_of(iapc))
    iapc.losses(batch)
    assert same(weights_of(source_of(iapc)), before)
    assert same(weights_of(iapc.student), before) == has_fixed_statistics
    assert modes_of(source_of(iapc)) == {False}
    for network in (iapc.memory, iapc.student):
        assert modes_of(network) == {not has_fixed_statistics}
    assert iapc.student.training is not has_fixed_statistics
    assert not iapc.memory.training


def test_networks_start_equal_and_share_no_tensor(make_iapc: MakeIapc) -> None:
    iapc = make_iapc()
    assert same(weights_of(source_of(iapc)), weights_of(iapc.student))
    assert same(weights_of(source_of(iapc)), weights_of(iapc.memory))
    pointers = [
        tensor.data_ptr() for net in (source_of(iapc), iapc.memory, iapc.student) for tensor in net.parameters()
    ]
    assert len(pointers) == len(set(pointers))


def test_after_a_step_the_memory_moves_towards_the_student_and_the_source_stays(make_iapc: MakeIapc) -> None:
    iapc = make_iapc(ema_momentum=0.75)
    start = source_of(iapc).get_parameter("classifier.0.weight").detach().clone()
    with torch.no_grad():
        iapc.student.get_parameter("classifier.0.weight").add_(4.0)
    iapc.after_step()
    torch.testing.assert_close(iapc.memory.get_parameter("classifier.0.weight").detach(), start + 1.0)
    torch.testing.assert_close(iapc.student.get_parameter("classifier.0.weight").detach(), start + 4.0)
    assert torch.equal(source_of(iapc).get_parameter("classifier.0.weight"), start)


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


def test_importance_judged_on_the_frame_is_that_of_the_crop_where_the_crop_is_the_frame(
    make_iapc: MakeIapc, network: DeepLabV2, spec: NetworkSpec, batch: TargetBatch, compute: Compute, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    for number, view in enumerate(view_of(batch)):
        write_png(tmp_path / f"frames/{number}.png", view.numpy())
    maps = ImportanceMaps(tmp_path / "maps")
    frames = folder_images(tmp_path / "frames")
    make_importance_maps(network.eval(), spec, frames, maps, form="prob_ratio", compute=compute)
    judged = batch._replace(source=None, importance=torch.stack([torch.from_numpy(maps.importance(n)) for n in (0, 1)]))
    certain = judged._replace(importance=torch.full((2, 32, 48), 255, dtype=torch.uint8))

    def terms_of(given: TargetBatch, view: str) -> dict[str, float]:
        iapc = make_iapc(has_fixed_statistics=True, importance_view=view)
        return {name: float(term.detach()) for name, term in iapc.losses(given).items()}

    crop, frame, upper = terms_of(batch, "crop"), terms_of(judged, "frame"), terms_of(certain, "frame")
    weighted = "importance_weighted"
    # The term is linear in importance, which 8 bits move by 1/510 at most.
    assert frame.pop(weighted) == pytest.approx(crop[weighted], abs=upper[weighted] / 510 + 1e-6)
    assert crop.pop(weighted) < 0.9 * upper[weighted]
    assert frame == pytest.approx(crop, rel=1e-5)


def test_source_network_is_kept_only_where_it_judges_crops(make_iapc: MakeIapc, batch: TargetBatch) -> None:
    assert make_iapc(importance_view="crop").source is not None
    iapc = make_iapc(importance_view="frame", has_fixed_statistics=True)
    assert iapc.source is None
    # Without maps, as where the term has no weight, every pixel counts in full.
    certain = batch._replace(importance=torch.full((2, 32, 48), 255, dtype=torch.uint8))
    other = make_iapc(importance_view="frame", has_fixed_statistics=True)
    assert torch.equal(iapc.losses(batch)["importance_weighted"], other.losses(certain)["importance_weighted"])


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
