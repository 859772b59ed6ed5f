"""Self-training: who labels what, how much it counts, and how the teacher follows."""

import copy
import math

import pytest
import torch
from torch import Tensor

from training.methods.method import Setting
from training.methods.parts.teacher import Taught, Teacher
from training.methods.self_training import SelfTraining, SelfTrainingConfig, confident_share, taught_loss
from training.views.batch import TargetBatch

NUM_CLASSES = 11


@pytest.fixture
def batch() -> TargetBatch:
    rng = torch.Generator().manual_seed(0)
    weak, student = (torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=rng) for _ in range(2))
    labels = torch.zeros(2, 32, 48, dtype=torch.int64)
    return TargetBatch(["a", "b"], memory=None, weak=weak, student=student, pseudo_labels=labels, importance=None)


def weights_of(teacher: Teacher) -> list[Tensor]:
    return [parameter.clone() for parameter in teacher.network.parameters()]


def test_crop_counts_for_the_share_of_its_pixels_that_are_sure() -> None:
    confidence = torch.tensor([[[0.99, 0.5], [0.97, 0.9]], [[0.1, 0.1], [0.1, 0.1]]])
    assert confident_share(Taught(confidence.long(), confidence), 0.968).tolist() == [0.5, 0.0]


def test_loss_is_weighted_by_pixel_and_class() -> None:
    # One pixel of class 1 at probability 1/2, weight 0.5 * 3; one of class 0 at 1/4, weight 1 * 2; over two pixels.
    log_probs = torch.tensor([[[[0.5, 0.25]], [[0.5, 0.75]]]]).log()
    labels, weights = torch.tensor([[[1, 0]]]), torch.tensor([[[0.5, 1.0]]])
    found = taught_loss(log_probs, labels, weights, torch.tensor([2.0, 3.0]))
    assert float(found) == pytest.approx((1.5 * math.log(2) + 2 * math.log(4)) / 2)


def test_teacher_follows_a_ramp_and_then_its_momentum(setting: Setting) -> None:
    teacher = Teacher(setting, 0.6)
    student = copy.deepcopy(setting.network)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    before = weights_of(teacher)
    # After the first step half of the way (1 - 1/2), then 0.6 of what is left: min(2/3, 0.6).
    for share in (0.5, 0.7):
        teacher.follow(student)
        for now, start in zip(weights_of(teacher), before, strict=True):
            torch.testing.assert_close(now, start + share)


def test_teacher_goes_on_where_its_state_left(setting: Setting) -> None:
    teacher, other = Teacher(setting, 0.9), Teacher(setting, 0.9)
    student = copy.deepcopy(setting.network)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    teacher.follow(student)
    other.load_state(teacher.state())
    for one in (teacher, other):
        one.follow(student)
    for now, again in zip(weights_of(teacher), weights_of(other), strict=True):
        assert torch.equal(now, again)


def test_terms_reach_the_student_and_never_the_teacher(setting: Setting, batch: TargetBatch) -> None:
    method = SelfTraining(SelfTrainingConfig(name="self_training", threshold=0.0), setting)
    terms = method.losses(batch)
    assert set(terms) == {"mixed", "masked"}
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.student.parameters())
    assert not any(p.requires_grad for p in method.teacher.network.parameters())
    before = weights_of(method.teacher)
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(0.1)
    method.after_step()
    assert not all(torch.equal(now, start) for now, start in zip(weights_of(method.teacher), before, strict=True))


def test_teacher_that_is_sure_of_nothing_teaches_nothing(setting: Setting, batch: TargetBatch) -> None:
    method = SelfTraining(SelfTrainingConfig(name="self_training", threshold=1.0), setting)
    assert all(float(term.detach()) == 0 for term in method.losses(batch).values())


def test_offline_labels_are_not_looked_at(setting: Setting, batch: TargetBatch) -> None:
    method = SelfTraining(SelfTrainingConfig(name="self_training", threshold=0.0, rare_boost=1.0), setting)
    with torch.no_grad():
        torch.manual_seed(1)
        first = method.losses(batch)
        torch.manual_seed(1)
        second = method.losses(batch._replace(pseudo_labels=batch.pseudo_labels + 3))
    assert {name: float(term) for name, term in first.items()} == pytest.approx(
        {name: float(term) for name, term in second.items()}, rel=1e-4
    )


def test_term_of_weight_zero_is_left_out(setting: Setting, batch: TargetBatch) -> None:
    config = SelfTrainingConfig(name="self_training", threshold=0.0, masked=0.0)
    assert set(SelfTraining(config, setting).losses(batch)) == {"mixed"}
