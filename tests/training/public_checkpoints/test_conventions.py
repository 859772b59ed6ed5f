"""Which input convention a network was trained with, on networks whose answer is known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.bundle.manifest import InputConvention
from training.device import Compute
from training.frame_network import FrameInput
from training.networks.config import INPUT_CONVENTIONS, InputName
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.public_checkpoints.conventions import (
    FRAMES,
    ConventionScore,
    Verdict,
    judge,
    score_conventions,
    warn_of_convention,
)

HW = (24, 32)


class ColourFrames:
    """Frames of coarse coloured noise, redder than blue, as streets are warmer than grey; counts what is read."""

    def __init__(self, count: int = 6, mean: tuple[float, ...] = (130.0, 115.0, 90.0)) -> None:
        self.count = count
        self.mean = mean
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return str(index)

    def hw(self, index: int) -> tuple[int, int]:
        return 24, 32

    def image(self, index: int) -> NDArray[np.uint8]:
        self.read.append(index)
        coarse = np.random.default_rng(index).normal(self.mean, 45, (6, 8, 3))
        return np.kron(np.clip(coarse, 0, 255), np.ones((4, 4, 1))).astype(np.uint8)


class ColourNetwork(SegmentationNetwork):
    """Tells eight classes apart by colour: whichever corner of the normalised colour cube a pixel lies in."""

    def __init__(self, convention: InputConvention | None, frames: ColourFrames) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False) if convention is not None else nn.Identity()
        corners = torch.tensor([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
        self.register_buffer("corners", corners[:, :, None, None])
        if isinstance(self.norm, nn.BatchNorm2d) and convention is not None:
            seen = torch.cat(
                [FrameInput(convention)(torch.from_numpy(frames.image(i))[None]) for i in range(len(frames))]
            )
            self.norm.running_mean = seen.mean(dim=(0, 2, 3))
            self.norm.running_var = seen.var(dim=(0, 2, 3))
        frames.read.clear()

    def forward(self, image: Tensor) -> NetworkOutput:
        features = self.norm(image)
        assert isinstance(self.corners, Tensor)
        return NetworkOutput(nn.functional.conv2d(features, self.corners), features)


@pytest.fixture
def frames() -> ColourFrames:
    return ColourFrames()


@pytest.mark.parametrize("name", INPUT_CONVENTIONS)
def test_the_convention_a_network_was_made_with_is_found(
    name: InputName, frames: ColourFrames, compute: Compute
) -> None:
    scores = score_conventions(ColourNetwork(INPUT_CONVENTIONS[name], frames), frames, HW, compute)
    assert judge(scores) == Verdict((name,))
    assert scores[name].num_classes == 8
    assert scores[name].surprise == pytest.approx(0.0, abs=1e-3)


def test_a_network_fed_wrongly_collapses_to_few_classes(frames: ColourFrames, compute: Compute) -> None:
    scores = score_conventions(ColourNetwork(INPUT_CONVENTIONS["bgr_caffe"], frames), frames, HW, compute)
    assert scores["rgb_unit"].num_classes < 0.5 * scores["bgr_caffe"].num_classes


def test_scores_are_those_worked_by_hand(compute: Compute) -> None:
    class Constant(SegmentationNetwork):
        def forward(self, image: Tensor) -> NetworkOutput:
            half = image.shape[3] // 2
            logits = torch.zeros(len(image), 3, *image.shape[2:])
            logits[:, 0, :, :half] = logits[:, 1, :, half:] = float(np.log(2.0))
            return NetworkOutput(logits, logits)

    score = score_conventions(Constant(), ColourFrames(2), HW, compute)["rgb_imagenet"]
    assert score.confidence == pytest.approx(0.5)
    assert score.entropy == pytest.approx(0.5 * np.log(2.0) + 2 * 0.25 * np.log(4.0))
    assert score.num_classes == 2
    assert score.surprise is None


def test_surprise_is_the_divergence_of_what_is_seen_from_what_is_stored(frames: ColourFrames, compute: Compute) -> None:
    network = ColourNetwork(INPUT_CONVENTIONS["rgb_unit"], frames)
    assert isinstance(network.norm, nn.BatchNorm2d)
    assert network.norm.running_mean is not None
    assert network.norm.running_var is not None
    network.norm.running_mean += 2.0 * network.norm.running_var.sqrt()
    network.norm.running_var *= 4.0
    score = score_conventions(network, frames, HW, compute)["rgb_unit"]
    assert score.surprise == pytest.approx(0.5 * (0.25 + 4.0 / 4.0 - 1.0 + np.log(4.0)), abs=2e-3)


def test_about_twenty_frames_are_looked_at_evenly_spread(compute: Compute) -> None:
    frames = ColourFrames(100)
    network = ColourNetwork(INPUT_CONVENTIONS["bgr_std"], frames)
    score_conventions(network, frames, HW, compute)
    assert (len(frames.read), frames.read[0], frames.read[-1]) == (FRAMES, 0, 99)
    assert not network.training


def test_nothing_stays_hooked_to_the_network(frames: ColourFrames, compute: Compute) -> None:
    network = ColourNetwork(INPUT_CONVENTIONS["bgr_std"], frames)
    score_conventions(network, frames, HW, compute)
    assert not network.norm._forward_pre_hooks


def scored(confidence: float, num_classes: int, surprise: float | None) -> ConventionScore:
    return ConventionScore(confidence, entropy=1.0, num_classes=num_classes, surprise=surprise)


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ({"a": scored(0.6, 12, 0.2), "b": scored(0.9, 5, 0.1)}, Verdict(("a",))),
        ({"a": scored(0.6, 12, 0.2), "b": scored(0.9, 6, 0.1)}, Verdict(("b",))),
        ({"a": scored(0.6, 12, 0.2), "b": scored(0.9, 12, 8.0)}, Verdict(("a",))),
        ({"a": scored(0.6, 12, 0.20), "b": scored(0.7, 12, 0.25)}, Verdict(("b", "a"))),
        ({"a": scored(0.6, 12, 0.25), "b": scored(0.5, 12, 0.20)}, Verdict(("a", "b"))),
        ({"a": scored(0.80, 12, None), "b": scored(0.70, 12, None)}, Verdict(("a",))),
        ({"a": scored(0.72, 12, None), "b": scored(0.70, 12, None)}, Verdict(("a", "b"))),
    ],
    ids=[
        "collapsed_is_out_however_sure",
        "half_the_classes_is_not_collapsed",
        "least_surprised_not_surest",
        "near_ones_fit_too",
        "the_surest_of_the_near_ones_first",
        "without_batch_norm_the_surest",
        "without_batch_norm_a_small_lead_is_none",
    ],
)
def test_the_rule(scores: dict[str, ConventionScore], verdict: Verdict) -> None:
    assert judge(scores) == verdict


def test_a_wrong_convention_is_warned_of_with_the_one_to_set(
    frames: ColourFrames, compute: Compute, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ColourNetwork(INPUT_CONVENTIONS["bgr_caffe"], frames)
    warning = warn_of_convention(network, INPUT_CONVENTIONS["rgb_imagenet"], frames, HW, compute)
    assert warning is not None
    assert "convention bgr_caffe fits this network, not rgb_imagenet" in warning
    assert warning.endswith("set model.input: bgr_caffe")
    assert warning in capsys.readouterr().err


def test_on_grey_frames_channel_orders_cannot_be_told_apart_but_scales_can(compute: Compute) -> None:
    frames = ColourFrames(mean=(115.0, 115.0, 115.0))
    network = ColourNetwork(INPUT_CONVENTIONS["rgb_imagenet"], frames)
    assert isinstance(network.norm, nn.BatchNorm2d)
    network.norm.reset_running_stats()
    assert set(judge(score_conventions(network, frames, HW, compute)).fitting) == {"rgb_imagenet", "bgr_std"}
    assert warn_of_convention(network, INPUT_CONVENTIONS["bgr_std"], frames, HW, compute) is None
    warning = warn_of_convention(network, INPUT_CONVENTIONS["bgr_caffe"], frames, HW, compute)
    assert warning is not None
    assert " or " in warning


def test_the_right_convention_is_not_warned_of(frames: ColourFrames, compute: Compute) -> None:
    network = ColourNetwork(INPUT_CONVENTIONS["bgr_caffe"], frames)
    assert warn_of_convention(network, INPUT_CONVENTIONS["bgr_caffe"], frames, HW, compute) is None


def test_a_convention_of_ones_own_is_compared_with_the_named_ones(frames: ColourFrames, compute: Compute) -> None:
    own = InputConvention(channel_order="rgb", mean=(60.0, 60.0, 60.0), std=(20.0, 20.0, 20.0))
    assert warn_of_convention(ColourNetwork(own, frames), own, frames, HW, compute) is None
    warning = warn_of_convention(ColourNetwork(INPUT_CONVENTIONS["bgr_caffe"], frames), own, frames, HW, compute)
    assert warning is not None
    assert "not the config's own" in warning
