"""Looks at a frame, worked by hand: exposures, statistics of the frame itself, and class frequencies taken out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from runtime.bundle.manifest import InputConvention
from training.checkpoint import NetworkSpec
from training.data.layouts import folder_images
from training.device import Compute
from training.frame_network import FrameInput
from training.labels.exposure import EXPOSURES, exposures_to_look_at
from training.labels.looks import Looks, exposed, frame_probs, mean_probs
from training.labels.pseudo_labels import PseudoLabels, make_pseudo_labels
from training.networks.config import DeepLabV2Config
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.statistics.batch_norm import read_statistics
from training.statistics.frame_statistics import by_frame

RAW = InputConvention(channel_order="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
PLAIN = FrameInput(RAW)
SPEC = NetworkSpec(
    model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", input=RAW, network_hw=(16, 24)),
    label_space="camvid11",
)


class Probs(SegmentationNetwork):
    """Two classes; the second has the probability that the mean of the first channel is of 255."""

    def forward(self, image: Tensor) -> NetworkOutput:
        second = (image[:, :1] / 255.0).clamp(1e-6, 1 - 1e-6)
        return NetworkOutput(torch.cat([1 - second, second], dim=1).log(), image)


class Normalised(SegmentationNetwork):
    """Logits are the image, normalised by one batch-norm layer without scale and offset."""

    def __init__(self, mean: float = 0.0, var: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False, eps=1e-8)
        self.norm.running_mean = torch.full((3,), mean)
        self.norm.running_var = torch.full((3,), var)
        self.eval()

    def forward(self, image: Tensor) -> NetworkOutput:
        logits = self.norm(image)
        return NetworkOutput(logits, logits)


def grey(value: int, hw: tuple[int, int] = (16, 24)) -> Tensor:
    return torch.full((1, *hw, 3), value, dtype=torch.uint8)


def test_exposure_is_an_exponent_of_values_in_0_to_1_and_leaves_black_white_and_1_alone() -> None:
    frames = torch.tensor([0, 64, 255], dtype=torch.uint8)
    # 255 * (64 / 255)^0.5 = sqrt(64 * 255)
    torch.testing.assert_close(exposed(frames, 0.5), torch.tensor([0.0, 127.7498, 255.0]))
    assert torch.equal(exposed(frames, 1.0), frames.float())


def test_probabilities_are_the_mean_over_exposures() -> None:
    found = frame_probs(Probs(), PLAIN, grey(64), Looks(exposures=(1.0, 0.5)), network_hw=(16, 24))
    # (64 + 127.75) / 2 of 255
    torch.testing.assert_close(found[:, 1], torch.full((1, 16, 24), 0.375979))
    mean = mean_probs(Probs(), PLAIN, [grey(64), grey(128)], Looks(), network_hw=(16, 24))
    torch.testing.assert_close(mean, torch.tensor([1 - 96 / 255, 96 / 255]))


def test_statistics_of_a_look_are_blended_in_by_their_share_and_forgotten() -> None:
    network = Normalised(mean=2.0, var=9.0)
    image = torch.tensor([4.0, 8.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)  # mean 6, variance 4
    with by_frame(network, 0.25):
        # Mean 2 + (6 - 2) / 4 = 3, variance 9 + (4 - 9) / 4 = 7.75.
        expected = (image - 3.0) / 7.75**0.5
        torch.testing.assert_close(network.logits(image), expected)
        torch.testing.assert_close(network.logits(image), expected)
    torch.testing.assert_close(network.logits(image), (image - 2.0) / 3.0)
    assert read_statistics(network)["norm"][0].tolist() == [2.0, 2.0, 2.0]


def test_statistics_are_put_back_where_a_look_fails() -> None:
    class Failing(Normalised):
        def forward(self, image: Tensor) -> NetworkOutput:
            super().forward(image)
            assert self.norm.running_mean is not None
            raise RuntimeError(f"seen with a mean of {float(self.norm.running_mean[0])}")

    network = Failing(mean=2.0)
    with pytest.raises(RuntimeError, match=r"a mean of 1\.5"), by_frame(network, 0.5):
        network.logits(torch.ones(1, 3, 2, 2))
    assert read_statistics(network)["norm"][0].tolist() == [2.0, 2.0, 2.0]
    assert not network.norm._forward_pre_hooks


def test_share_of_0_leaves_layers_alone() -> None:
    network = Normalised()
    with by_frame(network, 0.0):
        assert not network.norm._forward_pre_hooks


def test_every_frame_share_is_a_look_of_its_own() -> None:
    network = Normalised(mean=2.0, var=9.0)
    frame = torch.tensor([4, 8], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 16, 2, 3)  # mean 6, variance 4
    frame = frame.repeat(1, 1, 12, 1) * torch.tensor([1, 1, 0], dtype=torch.uint8)
    found = frame_probs(network, PLAIN, frame, Looks(frame_shares=(0.0, 1.0)), network_hw=(16, 24))[0, :, 0, 0]
    # A value of 4, 4, 0: by stored statistics 2/3, 2/3 and -2/3; by those of the frame alone -1, -1 and 0.
    stored, own = (torch.tensor(logits).softmax(dim=0) for logits in ([2 / 3, 2 / 3, -2 / 3], [-1.0, -1.0, 0.0]))
    torch.testing.assert_close(found, (stored + own) / 2, atol=1e-4, rtol=0)
    assert read_statistics(network)["norm"][0].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("exposure", [0.45, 0.6, 1.3])
def test_exposure_is_found_that_brings_frames_back_to_what_the_source_saw(exposure: float, compute: Compute) -> None:
    rng = torch.Generator().manual_seed(0)
    seen = torch.rand(4, 16, 24, 3, generator=rng) * 200 + 20
    darkened = [(255 * (frame / 255) ** (1 / exposure)).round().to(torch.uint8)[None] for frame in seen]
    network = Normalised()
    network.norm.running_mean = seen.mean(dim=(0, 1, 2))
    network.norm.running_var = seen.var(dim=(0, 1, 2))
    own = read_statistics(network)
    assert exposures_to_look_at(network, SPEC, [darkened[:2], darkened[2:]], compute) == (1.0, exposure)
    as_seen = [frame.round().to(torch.uint8)[None] for frame in seen]
    assert exposures_to_look_at(network, SPEC, [as_seen], compute) == (1.0,)
    assert torch.equal(read_statistics(network)["norm"][0], own["norm"][0])
    assert {exposure, 1.0} <= set(EXPOSURES)


def test_network_without_batch_norm_looks_at_frames_as_they_are(compute: Compute) -> None:
    assert exposures_to_look_at(Probs(), SPEC, [[grey(20)]], compute) == (1.0,)


def test_frequencies_over_frames_are_taken_out_of_labels(tmp_path: Path, compute: Compute) -> None:
    # The second class has probabilities of 0.1, 0.2 and 0.45, 0.25 in the mean; the first 0.75.
    (tmp_path / "frames").mkdir()
    for number, share in enumerate((0.1, 0.2, 0.45)):
        value = round(255 * share)
        Image.fromarray(np.full((16, 24, 3), value, dtype=np.uint8)).save(tmp_path / f"frames/{number}.png")
    frames = folder_images(tmp_path / "frames")
    found = {}
    for balance in (0.0, 0.5, 1.0):
        labels = PseudoLabels(tmp_path / str(balance))
        make_pseudo_labels(Probs(), SPEC, frames, labels, Looks(), compute, balance=balance)
        found[balance] = [int(labels.label(index)[0, 0]) for index in range(3)]
    # Times 3^0.5 or 3: 0.78 and 1.35 are more than 0.55, 0.35 and 0.6 less than 0.8.
    assert found == {0.0: [0, 0, 0], 0.5: [0, 0, 1], 1.0: [0, 0, 1]}
