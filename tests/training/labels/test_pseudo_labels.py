"""Offline pseudo-labels: what is summed, what is written, and what is not made twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from runtime.bundle.manifest import InputConvention
from runtime.errors import DataError
from runtime.images import write_png
from training.checkpoint import NetworkSpec
from training.data.files import ImageFiles
from training.data.layouts import folder_images
from training.device import Compute
from training.frame_network import FrameInput
from training.labels.looks import Looks, frame_probs
from training.labels.pseudo_labels import PseudoLabels, make_pseudo_labels
from training.networks.config import DeepLabV2Config
from training.networks.network import NetworkOutput, SegmentationNetwork

RAW = InputConvention(channel_order="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
PLAIN = FrameInput(RAW)
SCALES = (1.0, 1.25, 0.75)


class Written(SegmentationNetwork):
    """Logits are the image, scaled, plus a bias by image width that stays in place when the image is mirrored."""

    def __init__(self, scale: float = 1.0, biases: dict[int, Tensor] | None = None) -> None:
        super().__init__()
        self.scale, self.biases = scale, biases or {}
        self.seen: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> NetworkOutput:
        self.seen.append((int(image.shape[2]), int(image.shape[3])))
        return NetworkOutput(logits=image * self.scale + self.biases.get(image.shape[3], 0.0), features=image)


def label_frame(
    network: SegmentationNetwork, frame_input: FrameInput, frames: Tensor, looks: Looks, *, network_hw: tuple[int, int]
) -> Tensor:
    return frame_probs(network, frame_input, frames, looks, network_hw=network_hw).argmax(dim=1).to(torch.uint8)


def label(
    network: SegmentationNetwork, frames: Tensor, *, scales: tuple[float, ...] = (1.0,), mirror: bool = False
) -> Tensor:
    network_hw = (int(frames.shape[1]), int(frames.shape[2]))
    return label_frame(network, PLAIN, frames, Looks(scales, mirror), network_hw=network_hw)


def striped(hw: tuple[int, int] = (32, 48)) -> Tensor:
    """(1, H, W, 3): a red third, a green third, a blue third."""
    frames = torch.zeros(1, *hw, 3, dtype=torch.uint8)
    for channel in range(3):
        frames[:, :, channel * hw[1] // 3 : (channel + 1) * hw[1] // 3, channel] = 200
    return frames


def test_every_scale_is_seen_as_it_is_and_mirrored() -> None:
    network = Written()
    label(network, striped(), scales=SCALES, mirror=True)
    assert network.seen == [(32, 48), (32, 48), (40, 60), (40, 60), (24, 36), (24, 36)]


@pytest.mark.parametrize(
    ("multiple", "expected"),
    [(1, [(32, 48), (40, 60), (24, 36), (8, 8)]), (16, [(32, 48), (32, 64), (32, 32), (16, 16)])],
)
def test_every_scale_is_a_multiple_of_what_the_network_needs(multiple: int, expected: list[tuple[int, int]]) -> None:
    network = Written()
    network.size_multiple = multiple
    labels = label(network, striped(), scales=(*SCALES, 0.1))
    assert network.seen == expected
    assert labels.shape == (1, 32, 48)


def test_probabilities_are_upsampled_between_corners_where_the_network_aligns_them() -> None:
    # Two cells, sure of class 0 and at 0.6 for class 1; aligned, pixel x of 16 has share x / 15 of the second.
    said = torch.tensor([[1.0, 0.4], [0.0, 0.6], [0.0, 0.0]]).clamp(min=1e-30).log().view(1, 3, 1, 2)

    class Cells(SegmentationNetwork):
        def forward(self, image: Tensor) -> NetworkOutput:
            return NetworkOutput(logits=said, features=said)

    network = Cells()
    found = []
    for align_corners in (False, True):
        network.align_corners = align_corners
        found.append(int((label(network, torch.zeros(1, 8, 16, 3, dtype=torch.uint8))[0, 0] == 0).sum()))
    # Class 1 wins from share 5/6 on: aligned from pixel 13; else cell centres lie at 3.5 and 11.5, so from 10.17.
    assert found == [11, 13]


def test_labels_have_the_frames_size_and_are_train_ids() -> None:
    labels = label_frame(Written(), PLAIN, striped((40, 60)), Looks(), network_hw=(24, 36))
    assert (labels.shape, labels.dtype) == ((1, 40, 60), torch.uint8)
    assert labels[0, 0, [0, 30, 59]].tolist() == [0, 1, 2]


@pytest.mark.parametrize("mirror", [False, True])
def test_mirrored_probabilities_are_mirrored_back(mirror: bool) -> None:
    labels = label(Written(), striped(), scales=(1.0,), mirror=mirror)
    expected = torch.tensor([0] * 16 + [1] * 16 + [2] * 16, dtype=torch.uint8)
    assert torch.equal(labels[0], expected.expand(32, 48))


def test_mirroring_averages_a_preference_for_one_side_away() -> None:
    # The network sees class 1 a little stronger on the left half only; the frame says class 0 a little, everywhere.
    bias = torch.zeros(1, 3, 1, 8)
    bias[:, 1, :, :4] = 3.0
    frames = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    frames[..., 0] = 2
    alone = label(Written(1.0, {8: bias}), frames)
    both = label(Written(1.0, {8: bias}), frames, mirror=True)
    assert alone[0, 0].tolist() == [1] * 4 + [0] * 4
    assert bool((both == both.flip(2)).all())


def test_probabilities_are_summed_not_logits_and_not_votes() -> None:
    # Width 8 says (0.90, 0.05, 0.05); widths 10 and 6 say (0.001, 0.5, 0.499) and (0.30, 0.33, 0.37).
    # The sums are 1.201, 0.88, 0.919; the product and a vote of the last two would not choose class 0.
    said = {8: (0.90, 0.05, 0.05), 10: (0.001, 0.5, 0.499), 6: (0.30, 0.33, 0.37)}
    biases = {width: torch.tensor(probs).log().view(1, 3, 1, 1) for width, probs in said.items()}
    frames = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    assert label(Written(0.0, biases), frames, scales=SCALES).flatten().tolist() == [0] * 64


def test_probabilities_are_upsampled_between_pixel_centres() -> None:
    # Scale 1/2: one cell says class 0 for sure, the other class 1 with 0.75; halfway is at share 1/3 of the second.
    said = torch.tensor([[1.0, 0.25], [0.0, 0.75]]).clamp(min=1e-30).log().view(1, 2, 1, 2)
    network = Written(0.0, {16: said.repeat_interleave(8, dim=3)})
    frames = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)

    class TwoClasses(SegmentationNetwork):
        def forward(self, image: Tensor) -> NetworkOutput:
            return network(image[:, :2])  # type: ignore[no-any-return]

    labels = label(TwoClasses(), frames, scales=(0.5,))
    # Cell centres 7 and 8 (of 16) lie at 15.0 and 17.0 of 32 pixels: pixel 15 has share 1/4, pixel 16 share 3/4.
    assert labels[0, 0].tolist() == [0] * 16 + [1] * 16


def make(frames: ImageFiles, labels: PseudoLabels, compute: Compute, network: SegmentationNetwork) -> None:
    spec = NetworkSpec(
        model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", input=RAW, network_hw=(32, 48)),
        label_space="camvid11",
    )
    make_pseudo_labels(network, spec, frames, labels, Looks(mirror=True), compute)


@pytest.fixture
def frames(tmp_path: Path) -> ImageFiles:
    for number in range(3):
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(np.roll(striped()[0].numpy(), 16 * number, axis=1)).save(tmp_path / f"frames/{number}.png")
    return folder_images(tmp_path / "frames")


def test_every_frame_gets_its_own_labels(frames: ImageFiles, compute: Compute, tmp_path: Path) -> None:
    labels = PseudoLabels(tmp_path / "labels")
    make(frames, labels, compute, Written())
    assert [labels.label(index)[0, 0] for index in range(3)] == [0, 2, 1]
    assert labels.label(0).dtype == np.uint8
    assert sorted(path.name for path in labels.folder.iterdir()) == ["000000.png", "000001.png", "000002.png"]


def test_labels_that_are_there_are_not_made_again(frames: ImageFiles, compute: Compute, tmp_path: Path) -> None:
    labels, network = PseudoLabels(tmp_path / "labels"), Written()
    labels.folder.mkdir()
    write_png(labels.path(1), np.full((32, 48), 9, dtype=np.uint8))
    make(frames, labels, compute, network)
    assert len(network.seen) == 4
    assert set(np.unique(labels.label(1))) == {9}


def test_damaged_labels_are_named(tmp_path: Path) -> None:
    labels = PseudoLabels(tmp_path)
    write_png(labels.path(4), np.random.default_rng(0).integers(0, 9, (32, 48), dtype=np.uint8))
    labels.path(4).write_bytes(labels.path(4).read_bytes()[:200])
    with pytest.raises(DataError, match=r"000004\.png cannot be read .*delete the folder"):
        labels.label(4)
    with pytest.raises(DataError, match=r"000005\.png cannot be read"):
        labels.label(5)


def test_class_prior_counts_pixels_and_leaves_no_class_at_zero(tmp_path: Path) -> None:
    labels = PseudoLabels(tmp_path)
    write_png(labels.path(0), np.array([[0, 0, 1]], dtype=np.uint8))
    write_png(labels.path(1), np.array([[0, 0, 0]], dtype=np.uint8))
    # Counts 5, 1, 0 and one more each: 6, 2, 1 of 9.
    prior = labels.class_prior(2, 3)
    torch.testing.assert_close(prior, torch.tensor([6.0, 2.0, 1.0]) / 9)
