"""Class-balanced labels: thresholds and labels worked by hand, and the files of an interrupted pass."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.images import read_image
from training.checkpoint import NetworkSpec
from training.config import PseudoLabelConfig
from training.data.layouts import folder_images
from training.device import Compute
from training.labels.class_balanced import (
    LEVELS,
    SAMPLED,
    Shares,
    balanced_labels,
    class_shares,
    class_thresholds,
    confidence_counts,
    make_balanced_labels,
)
from training.labels.pseudo_labels import PseudoLabels
from training.networks.deeplab_v2 import DeepLabV2


def counts_of(num_classes: int, *predictions: tuple[list[int], list[float]]) -> Any:
    """Counts over frames, each of which is given by the class predicted at some pixels and its probability."""
    total = np.zeros((num_classes, LEVELS), dtype=np.int64)
    for labels, confidences in predictions:
        probs = torch.zeros((1, num_classes, 1, SAMPLED * len(labels)))
        probs[0, labels, 0, torch.arange(0, SAMPLED * len(labels), SAMPLED)] = torch.tensor(confidences).half().float()
        total += confidence_counts(probs).numpy()
    return total


def halves(*values: float) -> list[float]:
    return [float(np.float16(value)) for value in values]


def sorted_thresholds(labels: Any, confidences: Any, shares: Shares, num_classes: int) -> list[float]:
    """The thresholds in the plainest way: all confidences of a class in falling order."""
    kept = class_shares(np.bincount(labels, minlength=num_classes), shares)
    thresholds = [2.0] * num_classes
    for train_id in np.unique(labels):
        falling = np.sort(confidences[labels == train_id])[::-1]
        thresholds[train_id] = float(falling[max(0, int(kept[train_id] * len(falling)) - 1)])
    return thresholds


def test_threshold_of_a_class_admits_its_share_of_the_pixels_predicted_as_it() -> None:
    # Class 0 has 0.9 0.8 0.7 0.6 over both frames, of which half are 0.9 and 0.8; class 2 has one; class 1 none.
    found = class_thresholds(counts_of(3, ([0, 0, 2], [0.6, 0.9, 0.3]), ([0, 0], [0.8, 0.7])), Shares(0.5))
    assert found.tolist() == halves(0.8, 2.0, 0.3)


@pytest.mark.parametrize(
    "shares",
    [Shares(0.5), Shares(0.0), Shares(1.0), Shares(0.2, most=0.8, rarity=0.5), Shares(1 / 3, rarity=2.0)],
    ids=str,
)
@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0], ids=["unsure", "between", "sure"])
def test_thresholds_from_counts_are_those_of_sorted_confidences(shares: Shares, spread: float) -> None:
    # Of few pixels each level has one; of many, and of sure ones, thousands share a level.
    generator = torch.Generator().manual_seed(0)
    for num_pixels in (1, 7, 50, 4000):
        logits = spread * torch.randn((3, 1, 6, 1, num_pixels * SAMPLED), generator=generator)
        logits[:, :, 4] -= 2.0
        logits[:, :, 5] = -100.0  # never predicted
        frames = logits.softmax(dim=2).half()
        counts = torch.stack([confidence_counts(frame.float()) for frame in frames]).sum(dim=0).numpy()
        confidences, labels = frames.flatten(3)[..., ::SAMPLED].max(dim=2)
        expected = sorted_thresholds(labels.flatten().numpy(), confidences.flatten().numpy(), shares, 6)
        assert class_thresholds(counts, shares).tolist() == expected
        assert counts.sum() == 3 * num_pixels


def test_counts_tell_every_half_precision_number_apart() -> None:
    # From 0 over the smallest one to 1 and, as a sum of rounded shares can be, beyond; NaN has no sign there.
    for value in (0.0, 6e-8, 0.25, 0.5, 1.0, float(np.nextafter(np.float16(1), np.float16(2))), -float("nan")):
        (level,) = confidence_counts(torch.full((1, 1, 1, 1), value))[0].nonzero().flatten().tolist()
        np.testing.assert_equal(np.uint16(level).view(np.float16), abs(np.float16(value)))


def test_rarer_class_has_a_larger_share() -> None:
    # Of counts 400, 100 and 25 the median is 100: shares 0.2 times 1/2, 1 and 2. What is never predicted is rarest.
    shares = Shares(0.2, most=0.5, rarity=0.5)
    assert class_shares(np.array([400, 100, 25, 0]), shares).tolist() == pytest.approx([0.1, 0.2, 0.4, 0.5])
    assert class_shares(np.array([400, 100, 25]), Shares(0.2)).tolist() == pytest.approx([0.2] * 3)


def test_threshold_follows_the_share_of_its_class() -> None:
    # Class 0 has four pixels and class 1 one, the median is 2.5: 0.5 * 2.5 / 4 of four is one pixel.
    found = class_thresholds(counts_of(2, ([0, 0, 0, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.3])), Shares(0.5, rarity=1.0))
    assert found.tolist() == halves(0.9, 0.3)


def test_surest_pixels_of_each_image_are_labelled_as_they_are_predicted() -> None:
    # Two images of four pixels: the first class passes its threshold nowhere, the surest half is predicted as it.
    probs = torch.tensor([[0.9, 0.5, 0.7, 0.1], [0.6, 0.5, 0.55, 0.8]])
    probs = torch.stack([probs, 1 - probs], dim=1)[:, :, None]
    thresholds = torch.tensor([2.0, 0.85])
    assert balanced_labels(probs, thresholds).flatten(1).tolist() == [[255, 255, 255, 1], [255] * 4]
    found = balanced_labels(probs, thresholds, image_share=0.5)
    assert found.flatten(1).tolist() == [[0, 255, 255, 1], [0, 255, 255, 0]]


def test_label_is_the_class_farthest_above_its_threshold() -> None:
    # 0.5 / 0.8 is below 1; 0.3 / 0.2 is above, though 0.5 is larger; the last pixel has none.
    probs = torch.tensor([[0.9, 0.1], [0.5, 0.3], [0.7, 0.1]]).T.reshape(1, 2, 1, 3)
    assert balanced_labels(probs, torch.tensor([0.8, 0.2])).tolist() == [[[0, 1, 255]]]


def test_frames_are_labelled_and_an_interrupted_pass_goes_on_with_its_thresholds(
    network: DeepLabV2, spec: NetworkSpec, compute: Compute, make_frames: Any, tmp_path: Path
) -> None:
    frames = folder_images(make_frames(tmp_path / "frames", count=3))
    labels = PseudoLabels(tmp_path / "labels")
    config = PseudoLabelConfig(scales=(1.0,), mirror=False)

    def make() -> None:
        make_balanced_labels(network.eval(), spec, frames, labels, config, compute, shares=Shares(0.3))

    make()
    first = [read_image(labels.path(index)) for index in range(3)]
    kept = np.mean([(label != 255).mean() for label in first])
    assert 0.1 < kept < 0.6
    thresholds = tmp_path / "labels.thresholds.json"
    labels.path(1).unlink()
    make()
    np.testing.assert_array_equal(read_image(labels.path(1)), first[1])
    # Were they measured again, one frame less would not move them to 0.
    thresholds.write_text(json.dumps([1e-6] * spec.label_space.num_classes))
    labels.path(1).unlink()
    make()
    assert (read_image(labels.path(1)) != 255).all()
