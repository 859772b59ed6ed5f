"""Losses of the plain methods, worked by hand, and what of a network each of them trains."""

import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from runtime.errors import ConfigError
from training.methods.choice import MethodConfig, build_method
from training.methods.class_balanced import uniformity_loss
from training.methods.entropy import normalised_entropy
from training.methods.ld import negative_loss
from training.methods.max_square import image_weighted_square_loss, square_loss
from training.methods.method import Method, Rounds, Setting
from training.networks.deeplab_v2 import DeepLabV2
from training.statistics.batch_norm import affine_parameters
from training.views.batch import TargetBatch

NUM_CLASSES = 11
ADAPTER: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
TERMS = {
    "pseudo_label": {"pseudo_label"},
    "min_entropy": {"pseudo_label", "entropy"},
    "max_square": {"pseudo_label", "square"},
    "tent": {"entropy"},
    "class_balanced": {"pseudo_label"},
    "label_denoising": {"pseudo_label", "entropy", "negative"},
    "dtac": {"pseudo_label", "statistics"},
    "hcl": {"pseudo_label", "instances"},
    "sfda": {"pseudo_label", "statistics", "attention"},
    "uncertainty_reduction": {"pseudo_label", "entropy", "agreement"},
}


def log_probs_of(*pixels: list[float]) -> Tensor:
    """(1, C, 1, num pixels) log-probabilities."""
    return torch.tensor(pixels).T.log().reshape(1, len(pixels[0]), 1, len(pixels))


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    weak, student = (torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(2))
    labels = torch.randint(0, NUM_CLASSES, (2, 32, 48), generator=rng)
    return TargetBatch(["a", "b"], memory=None, weak=weak, student=student, pseudo_labels=labels, importance=None)


def method_of(setting: Setting, name: str, **settings: Any) -> Method[TargetBatch]:
    return build_method(ADAPTER.validate_python({"name": name, **settings}), setting)


def test_entropy_is_a_share_of_the_largest_there_can_be() -> None:
    # Two pixels of four classes: certain, 0; two of them equally likely, log 2 of log 4.
    assert float(normalised_entropy(log_probs_of([0.5, 0.5, 1e-30, 1e-30]))) == pytest.approx(0.5)
    assert float(normalised_entropy(log_probs_of([0.25] * 4, [1, 1e-30, 1e-30, 1e-30]))) == pytest.approx(0.5)


def test_square_loss_is_half_the_mean_square_of_probabilities() -> None:
    # (0.64 + 0.04 + 0.25 + 0.25) / (2 pixels * 2 classes) / 2
    assert float(square_loss(log_probs_of([0.8, 0.2], [0.5, 0.5]))) == pytest.approx(-1.18 / 8)


def test_rare_class_of_an_image_weighs_more() -> None:
    # Three pixels are class 0, one is class 1: weights 1 / (3^0.2 4^0.8) and 1 / 4^0.8.
    found = image_weighted_square_loss(log_probs_of([0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]))
    many, one = 1 / (3**0.2 * 4**0.8), 1 / 4**0.8
    assert float(found) == pytest.approx(-(many * (0.82 + 0.68 + 0.52) + one * 0.58) / 2)


def test_negative_loss_is_of_the_class_of_a_rank() -> None:
    # Second largest: 0.3 and 0.1.
    found = negative_loss(log_probs_of([0.6, 0.3, 0.1], [0.05, 0.85, 0.1]), rank=1)
    assert float(found) == pytest.approx(-(math.log(0.7) + math.log(0.9)) / 2)


def test_uniformity_is_of_labelled_pixels() -> None:
    log_probs = log_probs_of([0.5, 0.5], [0.8, 0.2])
    found = uniformity_loss(log_probs, torch.tensor([[[0, 255]]]))
    assert float(found) == pytest.approx(math.log(2) / 2)


def test_rounds_label_more_and_more_up_to_half() -> None:
    rounds = Rounds(4, 0.3, 0.1)
    assert [rounds.share_of(number) for number in range(4)] == pytest.approx([0.3, 0.4, 0.5, 0.5])


def test_image_of_one_class_weighs_every_pixel_alike() -> None:
    log_probs = log_probs_of([0.9, 0.1], [0.8, 0.2])
    assert float(image_weighted_square_loss(log_probs)) == pytest.approx(float(2 * square_loss(log_probs)))


def test_images_are_weighed_each_by_its_own_pixels() -> None:
    one, other = log_probs_of([0.9, 0.1], [0.2, 0.8]), log_probs_of([0.7, 0.3], [0.6, 0.4])
    alone = float(image_weighted_square_loss(one)) + float(image_weighted_square_loss(other))
    assert float(image_weighted_square_loss(torch.cat([one, other]))) == pytest.approx(alone / 2)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_terms_are_finite_and_reach_the_student(setting: Setting, batch: TargetBatch, name: str) -> None:
    method = method_of(setting, name)
    terms = method.losses(batch)
    assert set(terms) == TERMS[name]
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in method.student.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    method.after_step()
    method.load_state(method.state())


@pytest.mark.parametrize("name", ["min_entropy", "max_square"])
def test_weight_of_zero_takes_the_labels_away(setting: Setting, batch: TargetBatch, name: str) -> None:
    assert set(method_of(setting, name, pseudo_label=0.0).losses(batch)) == TERMS[name] - {"pseudo_label"}


def test_all_pixels_ignored_gives_no_loss(setting: Setting, batch: TargetBatch) -> None:
    ignored = batch._replace(pseudo_labels=torch.full_like(batch.pseudo_labels, 255))
    assert float(method_of(setting, "pseudo_label").losses(ignored)["pseudo_label"].detach()) == 0


def test_tent_trains_scales_and_offsets_of_batch_norm_alone(setting: Setting) -> None:
    student = method_of(setting, "tent").student
    learning = {id(parameter) for parameter in student.parameters() if parameter.requires_grad}
    assert learning == {id(parameter) for parameter in affine_parameters(student)}


def test_other_methods_leave_scales_and_offsets_as_they_are(setting: Setting) -> None:
    assert not any(p.requires_grad for p in affine_parameters(method_of(setting, "pseudo_label").student))


def test_tent_has_nothing_to_train_without_batch_norm(setting: Setting) -> None:
    plain = Setting(NoNorm(), setting.frame_input, setting.class_prior, setting.compute, iterations=10)
    with pytest.raises(ConfigError, match="tent trains the scales and offsets of batch norm, and the network has none"):
        method_of(plain, "tent")


class NoNorm(DeepLabV2):
    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.classifier = torch.nn.Conv2d(3, NUM_CLASSES, 1)


def test_running_class_weights_are_kept(setting: Setting, batch: TargetBatch) -> None:
    method, other = method_of(setting, "pseudo_label"), method_of(setting, "pseudo_label")
    rare = batch._replace(pseudo_labels=torch.zeros_like(batch.pseudo_labels))
    method.losses(rare)
    assert float(method.state()["often"].max()) == pytest.approx(0.9 + 0.1 * 7)
    other.load_state(method.state())
    assert torch.equal(other.state()["often"], method.state()["often"])


@pytest.mark.parametrize("name", ["class_balanced", "dtac", "label_denoising", "uncertainty_reduction"])
@pytest.mark.parametrize("value", [{"rounds": 0}, {"share": 1.5}])
def test_rounds_that_cannot_be_are_refused(name: str, value: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(value))):
        ADAPTER.validate_python({"name": name, **value})


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_square"):
        ADAPTER.validate_python({"name": "max_squares"})


def test_entropy_weight_is_divided_by_the_number_of_classes(setting: Setting, batch: TargetBatch) -> None:
    bare = {"pseudo_label": 0.0}
    with torch.no_grad():
        nats = method_of(setting, "tent").losses(batch)["entropy"]
        share = method_of(setting, "min_entropy", entropy=2.0, **bare).losses(batch)["entropy"]
    assert float(share) == pytest.approx(2 * float(nats) / math.log(NUM_CLASSES), rel=1e-4)


@pytest.mark.parametrize(("sureness", "expected"), [(1.0, False), (300.0, True)])
def test_second_stage_of_label_denoising_teaches_what_its_teacher_is_sure_of(
    setting: Setting, batch: TargetBatch, sureness: float, expected: bool
) -> None:
    with torch.no_grad():
        for parameter in setting.network.get_submodule("classifier").parameters():
            parameter.mul_(sureness)
    method = method_of(setting, "label_denoising", mixed_share=0.9)
    assert set(method.losses(batch)) == TERMS["label_denoising"]
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.mul_(1.01)
    method.after_step()
    # The teacher begins as the student is when the stage does.
    teacher = {name: tensor for name, tensor in method.state().items() if name.startswith("teacher/")}
    assert all(torch.equal(teacher[f"teacher/{name}"], p) for name, p in method.student.state_dict().items())
    terms = method.losses(batch)
    assert set(terms) == {"mixed"}
    assert (float(terms["mixed"].detach()) > 0) == expected


def test_only_what_the_second_stage_of_label_denoising_needs_is_cut() -> None:
    one, two = (ADAPTER.validate_python({"name": "label_denoising", "mixed_share": s}).needs for s in (0.0, 0.5))
    assert (one.weak, two.weak) == (False, True)
    assert one.rounds is not None
    assert one.rounds.image_share == 0.1
