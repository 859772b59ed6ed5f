"""Label-free scores of networks whose logits are written down, and the share of target statistics they choose."""

import math

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import TrainingError
from training.device import Compute
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.statistics.batch_norm import Statistics, read_statistics
from training.statistics.label_free import LabelFreeScores, best_share, choose_share, score

LN2 = math.log(2.0)


class Written(SegmentationNetwork):
    """Logits are the image itself plus a bias that stays where it is when the image is mirrored."""

    def __init__(self, bias: Tensor | float = 0.0) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(logits=image + self.bias, features=image)


class Normalised(SegmentationNetwork):
    """Logits are the batch-normalised image."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2, eps=0.0)

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(logits=self.norm(image), features=image)


def pixels(*probs: tuple[float, ...]) -> Tensor:
    return torch.tensor(probs).log().T[None, :, None]


def scores_of(compute: Compute, *images: Tensor, bias: Tensor | float = 0.0) -> LabelFreeScores:
    return score(Written(bias), images, compute)


def test_entropy_is_the_mean_in_nats(compute: Compute) -> None:
    scores = scores_of(compute, pixels((0.5, 0.25, 0.25), (1 / 3, 1 / 3, 1 / 3)), pixels((0.5, 0.25, 0.25)))
    assert scores.entropy == pytest.approx(((1.5 * LN2 + math.log(3)) / 2 + 1.5 * LN2) / 2, abs=1e-5)


def test_information_is_entropy_over_all_pixels_and_images_less_that_of_each(compute: Compute) -> None:
    # Means (0.75, 0.25) and (0.25, 0.75), of both one half each; entropies 0, ln 2 and twice that of (0.25, 0.75).
    scores = scores_of(compute, pixels((1.0, 1e-9), (0.5, 0.5)), pixels((0.25, 0.75), (0.25, 0.75)))
    assert scores.mutual_information == pytest.approx(LN2 - (LN2 + 2 * 0.562335) / 4, abs=1e-5)
    for told in ((1.0, 1e-9), (0.5, 0.5)):
        assert scores_of(compute, pixels(told, told)).mutual_information == pytest.approx(0.0, abs=1e-5)


def test_density_is_the_entropy_of_similarities_to_other_pixels(compute: Compute) -> None:
    # Unit vectors (0.8, 0.6) twice and (0.6, 0.8): cosine 0.96, so 0.04 / 0.05 = 0.8 nats apart.
    scores = scores_of(compute, pixels((4 / 7, 3 / 7), (4 / 7, 3 / 7), (3 / 7, 4 / 7)))
    near = 1.0 / (1.0 + math.exp(-0.8))
    entropy = -near * math.log(near) - (1 - near) * math.log(1 - near)
    assert scores.neighbourhood_density == pytest.approx((2 * entropy + LN2) / 3, abs=1e-5)


def test_a_pixel_is_no_neighbour_of_itself(compute: Compute) -> None:
    # Two pixels of different classes: each has one neighbour, and so no choice.
    scores = scores_of(compute, torch.tensor([[[[40.0, -40.0]], [[-40.0, 40.0]]]]))
    assert scores.neighbourhood_density == pytest.approx(0.0, abs=1e-5)


def test_density_takes_neighbours_from_the_same_image(compute: Compute) -> None:
    one = pixels((0.9, 0.1), (0.9, 0.1), (0.9, 0.1))
    other = pixels((0.1, 0.9), (0.1, 0.9), (0.1, 0.9))
    assert scores_of(compute, torch.cat([one, other])).neighbourhood_density == pytest.approx(LN2, abs=1e-5)


def test_agreement_is_full_where_place_does_not_matter(compute: Compute) -> None:
    assert scores_of(compute, pixels((0.9, 0.1), (0.2, 0.8), (0.2, 0.8))).mirror_agreement == 1.0


def test_agreement_counts_pixels_that_keep_their_label_when_mirrored(compute: Compute) -> None:
    # The image is uniform; the network prefers class 1 in the first of four columns.
    bias = torch.tensor([[0.0, 0.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]])[None, :, None]
    scores = scores_of(compute, pixels(*[(0.9, 0.1)] * 4), bias=bias)
    assert scores.mirror_agreement == 0.5


def test_classes_with_a_pixel_in_a_thousand_count(compute: Compute) -> None:
    image = pixels(*[(0.7, 0.1, 0.1, 0.1)] * 1996, *[(0.1, 0.7, 0.1, 0.1)] * 3, (0.1, 0.1, 0.7, 0.1))
    assert scores_of(compute, image).num_classes == 2


def test_classes_are_counted_over_all_batches(compute: Compute) -> None:
    assert scores_of(compute, pixels((0.9, 0.1)), pixels((0.1, 0.9))).num_classes == 2


def test_scores_leave_the_network_in_evaluation_mode_and_without_gradients(compute: Compute) -> None:
    network = Normalised().train()
    score(network, [torch.rand(1, 2, 2, 2)], compute)
    assert not network.norm.training
    assert network.norm.weight.grad is None


def test_scores_are_finite_for_certain_predictions(compute: Compute) -> None:
    scores = scores_of(compute, torch.tensor([[[[500.0, -500.0, 500.0]], [[0.0, 0.0, 0.0]]]]))
    assert scores.entropy == 0.0
    assert math.isfinite(scores.neighbourhood_density)


def test_scores_for_people_are_rounded() -> None:
    scores = LabelFreeScores(
        entropy=0.123456, neighbourhood_density=1.0, mirror_agreement=0.98765, num_classes=3, mutual_information=2.0
    )
    assert scores.as_dict() == {
        "entropy": 0.1235,
        "neighbourhood_density": 1.0,
        "mirror_agreement": 0.9877,
        "num_classes": 3,
        "mutual_information": 2.0,
    }


def means(first: float, var: float = 1.0) -> Statistics:
    return {"norm": (torch.tensor([first, 0.0]), torch.full((2,), var))}


@pytest.mark.parametrize(
    ("first_channel", "target", "expected"),
    [
        # Logit differences x / sqrt(var); the surest is the one farthest from 0.
        ([4.0, -4.0], means(0.0, var=0.25), 1.0),
        ([4.0, -4.0], means(0.0, var=4.0), 0.0),
        # 1 + 6 s and -7 + 6 s: at s = 0.5 both pixels are 4 apart, at the ends one is only 1 apart.
        ([1.0, -7.0], means(-6.0), 0.5),
    ],
)
def test_share_with_the_surest_predictions_is_chosen(
    compute: Compute, first_channel: list[float], target: Statistics, expected: float
) -> None:
    network = Normalised()
    image = torch.tensor([[[first_channel], [[0.0, 0.0]]]])
    share, scores = choose_share(network, [image], source=means(0.0), target=target, compute=compute)
    assert share == expected
    assert {0.0, 0.5, 1.0} <= scores.keys()
    assert scores[share].entropy == min(found.entropy for found in scores.values())


def test_network_is_left_with_its_source_statistics(compute: Compute) -> None:
    network = Normalised()
    choose_share(network, [torch.rand(1, 2, 2, 2)], source=means(3.0), target=means(9.0), compute=compute)
    assert read_statistics(network)["norm"][0].tolist() == [3.0, 0.0]


def costs(information: float = 1.0, **by_share: tuple[float, float]) -> dict[float, LabelFreeScores]:
    """Scores by share in percent: (entropy, mirror agreement)."""
    return {
        int(name[1:]) / 100: LabelFreeScores(entropy, 0.0, agreement, 5, information)
        for name, (entropy, agreement) in by_share.items()
    }


def test_best_share_buys_neither_entropy_nor_agreement_with_the_other() -> None:
    # Relative to share 0: 1 + 1, 0.5 + 1.2, 0.4 + 1.4.
    assert best_share(costs(s0=(0.4, 0.9), s50=(0.2, 0.88), s100=(0.16, 0.86))) == 0.5


def test_best_share_follows_entropy_where_agreement_is_equal() -> None:
    assert best_share(costs(s0=(0.4, 0.9), s50=(0.2, 0.9), s100=(0.16, 0.9))) == 1.0


def test_best_share_follows_agreement_where_entropy_is_equal() -> None:
    assert best_share(costs(s0=(0.4, 0.9), s50=(0.4, 0.95), s100=(0.4, 0.85))) == 0.5


def test_best_share_is_defined_for_a_source_that_is_sure_and_agrees_everywhere() -> None:
    assert best_share(costs(s0=(0.0, 1.0), s50=(0.1, 1.0), s100=(0.0, 0.9))) == 0.0


def test_best_share_is_none_at_which_predictions_tell_little_of_pixels() -> None:
    collapsed, sound = costs(s0=(0.1, 0.99), information=0.89), costs(s70=(0.5, 0.9), s100=(0.6, 0.8))
    assert best_share({**collapsed, **sound}) == 0.7
    # Nine tenths of the largest are enough.
    assert best_share({**costs(s0=(0.1, 0.99), information=0.9), **sound}) == 0.0


def test_share_at_which_predictions_are_not_finite_does_not_count() -> None:
    broken = costs(s0=(math.nan, 1.0), information=math.nan)
    assert best_share({**broken, **costs(s70=(0.5, 0.9), s100=(0.6, 0.8))}) == 0.7
    with pytest.raises(TrainingError, match=r"not finite with any share .* set bf16 or fp32"):
        best_share(broken)


def test_student_that_has_left_source_statistics_behind_does_not_go_back_to_them(compute: Compute) -> None:
    # With the source's mean all pixels are of the first class, more surely than the target's tells two classes.
    image = torch.tensor([[[[30.0, 26.0]], [[0.0, 0.0]]]])
    share, _ = choose_share(Normalised(), [image], source=means(0.0), target=means(28.0), compute=compute)
    assert share == 1.0
