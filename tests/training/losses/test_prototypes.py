"""Prototypes and similarities on grids small enough to work out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.labels import IGNORE_INDEX
from training.losses.prototypes import class_prototypes, prototype_similarity

# 2 rows, 3 columns, 2 channels; every vector has another length, so that a missing normalisation shows.
GRID = [[(1.0, 0.0), (0.0, 2.0), (3.0, 4.0)], [(4.0, 3.0), (5.0, 12.0), (8.0, 6.0)]]


def grid(vectors: list[list[tuple[float, float]]] = GRID) -> Tensor:
    """(1, D, h, w) features."""
    return torch.tensor(vectors).permute(2, 0, 1)[None]


def test_prototype_of_a_constant_label_map_is_the_mean_feature() -> None:
    prototypes = class_prototypes(grid(), torch.full((1, 2, 3), 1), 3)
    assert prototypes.shape == (1, 3, 2)
    torch.testing.assert_close(prototypes[0], torch.tensor([[0.0, 0.0], [3.5, 4.5], [0.0, 0.0]]))


def test_prototypes_are_means_of_their_own_pixels() -> None:
    labels = torch.tensor([[[0, 1, 0], [2, 1, 2]]])
    expected = torch.tensor([[(1 + 3) / 2, (0 + 4) / 2], [(0 + 5) / 2, (2 + 12) / 2], [(4 + 8) / 2, (3 + 6) / 2]])
    torch.testing.assert_close(class_prototypes(grid(), labels, 3)[0], expected)


def test_prototypes_of_one_image_know_nothing_of_another() -> None:
    features = torch.cat([grid(), 10.0 * grid()])
    labels = torch.stack([torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int64)])
    prototypes = class_prototypes(features, labels, 2)
    torch.testing.assert_close(prototypes[0], torch.tensor([[3.5, 4.5], [0.0, 0.0]]))
    torch.testing.assert_close(prototypes[1], torch.tensor([[0.0, 0.0], [35.0, 45.0]]))


def test_each_image_divides_by_its_own_number_of_pixels() -> None:
    labels = torch.tensor([[[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 1, 1]]])
    prototypes = class_prototypes(torch.cat([grid(), grid()]), labels, 2)
    torch.testing.assert_close(prototypes[:, 0], torch.tensor([[3.5, 4.5], [1.0, 0.0]]))


def test_ignored_pixels_belong_to_no_prototype() -> None:
    labels = torch.tensor([[[0, IGNORE_INDEX, IGNORE_INDEX], [0, IGNORE_INDEX, IGNORE_INDEX]]])
    torch.testing.assert_close(class_prototypes(grid(), labels, 2)[0], torch.tensor([[2.5, 1.5], [0.0, 0.0]]))


def test_image_without_a_labelled_pixel_has_only_absent_classes() -> None:
    prototypes = class_prototypes(grid(), torch.full((1, 2, 3), IGNORE_INDEX), 2)
    assert bool((prototypes == 0).all())


def test_similarity_is_the_cosine_of_its_own_place_and_class() -> None:
    """Channel c at (row, column) is worked by hand: reshaping without a permute scrambles this map."""
    prototypes = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]]])
    similarity = prototype_similarity(grid(), prototypes)
    expected = torch.tensor(
        [
            [[1.0, 0.0, 0.6], [0.8, 5 / 13, 0.8]],
            [[0.0, 1.0, 0.8], [0.6, 12 / 13, 0.6]],
            [[0.6, 0.8, 1.0], [0.96, 63 / 65, 0.96]],
        ]
    )
    assert similarity.shape == (1, 3, 2, 3)
    torch.testing.assert_close(similarity[0], expected)


def test_similarity_compares_with_the_prototypes_of_the_same_image() -> None:
    prototypes = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    similarity = prototype_similarity(torch.cat([grid(), grid()]), prototypes)
    torch.testing.assert_close(similarity[:, 0, 0], torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]))


def test_masked_absent_class_takes_no_part_in_a_softmax() -> None:
    similarity = prototype_similarity(grid(), torch.tensor([[[0.0, 0.0], [3.0, 4.0], [4.0, 3.0]]]), "mask")
    assert bool((similarity[:, 0] == float("-inf")).all())
    assert bool(similarity[:, 1:].isfinite().all())
    assert float(similarity.softmax(dim=1)[0, 0].max()) == 0.0


def test_absent_class_gets_zero_similarity_in_the_form_of_the_authors_code() -> None:
    similarity = prototype_similarity(grid(), torch.tensor([[[0.0, 0.0], [3.0, 4.0], [4.0, 3.0]]]), "zero")
    assert bool((similarity[:, 0] == 0).all())
    torch.testing.assert_close(similarity[0, 1, 0], torch.tensor([0.6, 0.8, 1.0]))


@pytest.mark.parametrize("absent", ["mask", "zero"])
def test_absent_class_never_wins(absent: str) -> None:
    rng = torch.Generator().manual_seed(0)
    features = F.relu(torch.randn(2, 8, 4, 4, generator=rng)) + 0.01
    labels = torch.randint(1, 4, (2, 4, 4), generator=rng)
    prototypes = class_prototypes(features, labels, 5)
    similarity = prototype_similarity(features, prototypes, "mask" if absent == "mask" else "zero")
    assert set(similarity.argmax(dim=1).flatten().tolist()) <= {1, 2, 3}


def test_a_class_absent_from_one_image_stays_in_the_other() -> None:
    prototypes = torch.tensor([[[0.0, 0.0], [3.0, 4.0]], [[3.0, 4.0], [0.0, 0.0]]])
    similarity = prototype_similarity(torch.cat([grid(), grid()]), prototypes)
    assert similarity.isfinite().all(dim=(2, 3)).tolist() == [[False, True], [True, False]]


def test_prototype_with_one_channel_at_zero_is_not_absent() -> None:
    similarity = prototype_similarity(grid(), torch.tensor([[[0.0, 5.0]]]))
    assert math.isclose(float(similarity[0, 0, 0, 2]), 0.8, rel_tol=1e-6)


def test_features_and_prototypes_of_different_width_are_refused() -> None:
    with pytest.raises(ValueError, match="features have 2 channels, prototypes 3; they must agree"):
        prototype_similarity(grid(), torch.zeros(1, 4, 3))
