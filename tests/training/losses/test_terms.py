"""The loss terms of IAPC on pixels worked by hand.

`pixels` builds logits (1, C, 1, W) whose softmax is the given probabilities, one tuple per pixel.
"""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.losses import terms
from training.losses.terms import ImportanceForm, importance_map, nearest_labels


def of_logits(term: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A term takes log-probabilities; a test gives it logits, as a network does, and asks for their gradient."""
    return lambda logits, *others, **named: term(logits.log_softmax(dim=1), *others, **named)


importance_weighted_loss = of_logits(terms.importance_weighted_loss)
information_maximisation_loss = of_logits(terms.information_maximisation_loss)
prior_divergence = of_logits(terms.prior_divergence)
prototype_enhanced_loss = of_logits(terms.prototype_enhanced_loss)
prototype_symmetric_loss = of_logits(terms.prototype_symmetric_loss)

LN2 = math.log(2.0)
ABSENT = float("-inf")


def pixels(*probs: tuple[float, ...]) -> Tensor:
    return torch.tensor(probs, dtype=torch.float32).log().T[None, :, None]


def logits_of(*values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).T[None, :, None]


def row(*labels: int) -> Tensor:
    return torch.tensor(labels)[None, None]


def assert_values(result: Tensor, *expected: float) -> None:
    torch.testing.assert_close(result.flatten(), torch.tensor(expected), atol=1e-5, rtol=1e-5)


# Importance


@pytest.mark.parametrize(
    ("values", "expected"),
    [((8.0, 5.0, ABSENT), 0.950213), ((3.0, 2.5, 0.0), 0.393469), ((0.7, 0.7, 0.7), 0.0), ((-9.0, 2.5, 3.0), 0.393469)],
)
def test_probability_ratio_is_one_minus_second_over_first(values: tuple[float, ...], expected: float) -> None:
    assert_values(importance_map(logits_of(values)), expected)


def test_probability_ratio_does_not_depend_on_the_offset_of_the_logits() -> None:
    logits = logits_of((1.0, 3.0, 2.0), (-4.0, 0.0, 0.5))
    assert_values(importance_map(logits - 100.0), *importance_map(logits).flatten().tolist())


@pytest.mark.parametrize(
    ("form", "values", "expected"),
    [
        ("logit_ratio", (5.0, 8.0, 1.0), 0.375),
        ("logit_ratio", (8.0, -1.0, -2.0), 1.0),
        ("logit_ratio", (-0.2, -0.4, -5.0), 0.0),
        ("logit_ratio", (0.0, 0.0, -5.0), 0.0),
        ("margin", (math.log(0.1), math.log(0.6), math.log(0.3)), 0.3),
        ("margin", (7.0 + math.log(0.1), 7.0 + math.log(0.6), 7.0 + math.log(0.3)), 0.3),
        ("prob_ratio", (math.log(0.1), math.log(0.6), math.log(0.3)), 0.5),
        ("none", (1.0, 8.0, 5.0), 1.0),
        ("none", (2.0, 2.0, 2.0), 1.0),
    ],
)
def test_each_form_of_importance_has_its_value(
    form: ImportanceForm, values: tuple[float, ...], expected: float
) -> None:
    assert_values(importance_map(logits_of(values), form), expected)


@pytest.mark.parametrize("form", ["prob_ratio", "logit_ratio", "margin", "none"])
def test_importance_is_a_map_of_its_image_between_zero_and_one(form: ImportanceForm) -> None:
    logits = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)) * 5.0
    importance = importance_map(logits, form)
    assert importance.shape == (2, 3, 4)
    assert bool(((importance >= 0) & (importance <= 1)).all())
    assert_values(importance_map(logits[1:, :, 2:, 3:], form), float(importance[1, 2, 3]))


# Importance-weighted pseudo-label loss (eq. 5)


def test_importance_weighted_loss_weighs_by_importance_and_class_and_divides_by_all_pixels() -> None:
    logits = pixels((0.5, 0.3, 0.2), (0.5, 0.25, 0.25), (0.1, 0.1, 0.8), (0.2, 0.2, 0.6))
    loss = importance_weighted_loss(
        logits, row(0, 1, IGNORE_INDEX, 0), torch.tensor([[[1.0, 0.4, 1.0, 0.0]]]), torch.tensor([2.0, 3.0, 5.0])
    )
    # (1 * 2 * ln 2 + 0.4 * 3 * ln 4 + 0 + 0) / 4 pixels
    assert_values(loss, (2.0 + 2.4) * LN2 / 4)


@pytest.mark.parametrize("term", ["importance_weighted", "enhanced"])
def test_loss_and_gradient_are_zero_and_finite_where_every_pixel_is_ignored(term: str) -> None:
    logits = pixels((0.5, 0.5), (0.9, 0.1)).requires_grad_()
    ignored, ones = row(IGNORE_INDEX, IGNORE_INDEX), torch.ones(2)
    if term == "enhanced":
        loss = prototype_enhanced_loss(logits, row(0, 1), ignored, ones)
    else:
        loss = importance_weighted_loss(logits, ignored, torch.ones(1, 1, 2), ones)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_values(loss.detach(), 0.0)
    assert_values(gradient, 0.0, 0.0, 0.0, 0.0)


# Information maximisation (eq. 6) and the optional prior


@pytest.mark.parametrize(
    ("probs", "expected"),
    [
        ([(0.25, 0.25, 0.25, 0.25)], 2 * LN2),
        ([(0.5, 0.25, 0.25, 0.0)], 1.5 * LN2),
        ([(0.5, 0.25, 0.25, 0.0), (0.5, 0.5, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)], 2.5 * LN2 / 3),
    ],
)
def test_information_loss_is_the_mean_entropy_in_nats(probs: list[tuple[float, ...]], expected: float) -> None:
    # Logits are finite: an empty class is one 80 nats below.
    assert_values(information_maximisation_loss(pixels(*probs).clamp(min=-80.0)), expected)


def test_information_loss_is_finite_for_a_certain_pixel() -> None:
    logits = logits_of((1000.0, 0.0, -1000.0)).requires_grad_()
    loss = information_maximisation_loss(logits)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_values(loss.detach(), 0.0)
    assert bool(gradient.isfinite().all())


def test_information_loss_falls_when_the_first_choice_gains() -> None:
    logits = pixels((0.6, 0.4)).requires_grad_()
    (gradient,) = torch.autograd.grad(information_maximisation_loss(logits), logits)
    assert float(gradient[0, 0, 0, 0]) < 0.0 < float(gradient[0, 1, 0, 0])


def test_prior_divergence_compares_the_mean_prediction_with_the_prior() -> None:
    logits = pixels((0.9, 0.1), (0.3, 0.7))
    assert_values(prior_divergence(logits, torch.tensor([0.6, 0.4])), 0.0)
    # 0.6 ln(0.6 / 0.25) + 0.4 ln(0.4 / 0.75); the mean of the logits would give (0.66, 0.34).
    assert_values(prior_divergence(logits, torch.tensor([0.25, 0.75])), 0.273838)


def test_prior_divergence_takes_the_mean_over_images_too() -> None:
    logits = torch.cat([pixels((0.9, 0.1)), pixels((0.1, 0.9))])
    assert_values(prior_divergence(logits, torch.tensor([0.25, 0.75])), 0.143841)


def test_prior_divergence_is_finite_for_a_class_nobody_predicts() -> None:
    loss = prior_divergence(logits_of((300.0, 0.0)), torch.tensor([0.5, 0.5]))
    assert_values(loss, LN2)


# Prototype-symmetric loss (eq. 9)


def test_equal_similarities_cost_log_of_the_number_of_classes() -> None:
    # First half: label 0 (the first of equals), p = 0.5. Second half: uniform over 3 classes.
    loss = prototype_symmetric_loss(pixels((0.5, 0.3, 0.2)), logits_of((0.7, 0.7, 0.7)), temperature=1.0)
    assert_values(loss, LN2 + math.log(3.0))


def test_symmetric_loss_adds_both_directions_and_divides_by_the_temperature() -> None:
    logits = pixels((0.5, 0.25, 0.25), (0.2, 0.5, 0.3))
    similarity = logits_of((0.9, 0.5, 0.1), (0.2, 0.4, 0.6))
    # Prototype labels 0, 2; the student's own 0, 1; similarities over temperature 0.5.
    towards_prototypes = (LN2 - math.log(0.3)) / 2
    first = math.log(math.exp(1.8) + math.exp(1.0) + math.exp(0.2)) - 1.8
    second = math.log(math.exp(0.4) + math.exp(0.8) + math.exp(1.2)) - 0.8
    expected = towards_prototypes + (first + second) / 2
    assert_values(prototype_symmetric_loss(logits, similarity, temperature=0.5), expected)


def test_a_low_temperature_with_a_mask_makes_a_typical_similarity_informative() -> None:
    """The figures of a typical street: own class 0.85, nine others 0.6, nine classes absent."""
    student = logits_of((100.0, *[0.0] * 18))
    zero, mask = (logits_of((0.85, *[0.6] * 9, *[absent] * 9)) for absent in (0.0, ABSENT))
    paper = math.log(1.0 + (9 * math.exp(0.6) + 9) / math.exp(0.85))
    assert paper == pytest.approx(2.47, abs=5e-3)
    assert_values(prototype_symmetric_loss(student, zero, temperature=1.0), paper)
    assert_values(prototype_symmetric_loss(student, mask, temperature=0.1), math.log(1.0 + 9 * math.exp(-2.5)))


def test_student_label_the_prototypes_do_not_know_adds_nothing_to_the_features() -> None:
    logits = pixels((0.5, 0.25, 0.25), (0.1, 0.2, 0.7))
    similarity = logits_of((0.9, 0.4, ABSENT), (0.3, 0.8, ABSENT))
    towards_prototypes = (LN2 - math.log(0.2)) / 2
    first = math.log(1.0 + math.exp(-0.5))
    loss = prototype_symmetric_loss(logits, similarity, temperature=1.0)
    assert_values(loss, towards_prototypes + first / 2)


def test_absent_class_of_one_image_is_known_in_another() -> None:
    logits = torch.cat([pixels((0.2, 0.8)), pixels((0.2, 0.8))])
    similarity = torch.cat([logits_of((0.5, ABSENT)), logits_of((0.5, 0.5))])
    # First image: label 0 for both halves' only known class; second: label 0 is the first of equals.
    expected = -math.log(0.2) + (0.0 + LN2) / 2
    assert_values(prototype_symmetric_loss(logits, similarity, temperature=1.0), expected)


def test_symmetric_loss_brings_labels_to_the_crop_by_nearest_and_similarities_by_bilinear_sampling() -> None:
    logits = pixels((0.5, 0.5), (0.75, 0.25), (0.4, 0.6), (0.1, 0.9))
    similarity = logits_of((1.0, 0.0), (0.0, 1.0))
    towards_prototypes = -(math.log(0.5) + math.log(0.75) + math.log(0.6) + math.log(0.9)) / 4
    # Half-pixel centres: 2 cells to 4 pixels gives shares 1, 3/4, 1/4, 0 of the first cell.
    margins = (1.0, 0.5, 0.5, 1.0)
    towards_student = sum(math.log(1.0 + math.exp(-margin)) for margin in margins) / 4
    loss = prototype_symmetric_loss(logits, similarity, temperature=1.0)
    assert_values(loss, towards_prototypes + towards_student)


def test_each_half_of_the_symmetric_loss_trains_its_own_side() -> None:
    logits, similarity = pixels((0.6, 0.4)).requires_grad_(), logits_of((0.2, 0.7)).requires_grad_()
    loss = prototype_symmetric_loss(logits, similarity, temperature=1.0)
    of_logits, of_similarity = torch.autograd.grad(loss, (logits, similarity))
    # Cross-entropy: p - onehot. The prototypes say class 1, the student says class 0.
    assert_values(of_logits, 0.6, -0.6)
    share = 1.0 / (1.0 + math.exp(0.5))
    assert_values(of_similarity, share - 1.0, 1.0 - share)


def test_symmetric_gradient_is_finite_with_absent_classes_and_more_pixels_than_cells() -> None:
    features = torch.tensor([[[[0.9, 0.1]], [[0.2, 0.8]]]], requires_grad=True)
    similarity = torch.cat([features, torch.full((1, 1, 1, 2), ABSENT)], dim=1)
    logits = torch.randn(1, 3, 4, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = prototype_symmetric_loss(logits, similarity, temperature=0.1)
    gradients = torch.autograd.grad(loss, (logits, features))
    assert bool(loss.isfinite())
    assert all(bool(gradient.isfinite().all() and (gradient != 0).any()) for gradient in gradients)


# Prototype-enhanced loss (eq. 10)


def test_enhanced_loss_is_plain_cross_entropy_where_all_labels_agree() -> None:
    logits, labels = pixels((0.5, 0.5), (0.75, 0.25)), row(0, 1)
    assert_values(prototype_enhanced_loss(logits, labels, labels, torch.ones(2)), 3 * LN2 / 2)


def test_enhanced_loss_counts_only_agreement_but_divides_by_all_pixels() -> None:
    logits = pixels((0.5, 0.25, 0.25), (0.5, 0.25, 0.25), (0.5, 0.25, 0.25), (0.5, 0.25, 0.25))
    loss = prototype_enhanced_loss(logits, row(0, 1, 2, 2), row(0, 1, 1, IGNORE_INDEX), torch.tensor([3.0, 5.0, 7.0]))
    assert_values(loss, (3 * LN2 + 5 * 2 * LN2) / 4)


def test_enhanced_loss_without_agreement_is_zero_with_a_finite_gradient() -> None:
    logits = pixels((0.5, 0.5), (0.75, 0.25)).requires_grad_()
    loss = prototype_enhanced_loss(logits, row(0, 0), row(1, 1), torch.ones(2))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_values(loss.detach(), 0.0)
    assert_values(gradient, 0.0, 0.0, 0.0, 0.0)


def test_nearest_labels_repeats_cells_and_never_mixes_ids() -> None:
    labels = nearest_labels(torch.tensor([[[1, 7], [5, 255]]]), (4, 4))
    assert labels.dtype == torch.int64
    assert labels[0].tolist() == [[1, 1, 7, 7], [1, 1, 7, 7], [5, 5, 255, 255], [5, 5, 255, 255]]


# Properties


@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 30.0]), st.booleans())
def test_every_term_and_gradient_is_finite(seed: int, scale: float, is_ignored: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, 4, 4, 6, generator=rng)).requires_grad_()
    similarity = torch.rand(2, 4, 2, 3, generator=rng)
    similarity[0, seed % 4] = ABSENT
    labels = torch.randint(0, 4, (2, 4, 6), generator=rng)
    labels = torch.full_like(labels, IGNORE_INDEX) if is_ignored else labels
    weights = torch.ones(4)
    terms = [
        importance_weighted_loss(logits, labels, importance_map(logits.detach()), weights),
        information_maximisation_loss(logits),
        prior_divergence(logits, torch.full((4,), 0.25)),
        prototype_symmetric_loss(logits, similarity, temperature=0.1),
        prototype_enhanced_loss(logits, torch.zeros_like(labels), labels, weights),
    ]
    (gradient,) = torch.autograd.grad(torch.stack(terms).sum(), logits)
    assert all(bool(term.isfinite()) and bool(term >= -1e-6) for term in terms)
    assert bool(gradient.isfinite().all())
