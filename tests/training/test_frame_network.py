"""The deploy graph: pixel values, sizes, labels and confidence, on networks small enough to follow by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from runtime.bundle.manifest import InputConvention
from training.frame_network import FrameInput, FrameNetwork
from training.networks.config import INPUT_CONVENTIONS
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput, SegmentationNetwork

PLAIN = InputConvention(channel_order="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class PooledChannels(SegmentationNetwork):
    """Logits are the scaled channels, averaged over cells of `stride` pixels."""

    def __init__(self, scale: float = 1.0, stride: int = 1) -> None:
        super().__init__()
        self.scale, self.stride = scale, stride
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> NetworkOutput:
        self.seen.append(image)
        pooled = nn.functional.avg_pool2d(image, self.stride)
        return NetworkOutput(logits=pooled * self.scale, features=pooled)


def wrap(network: SegmentationNetwork, hw: tuple[int, int], frame_hw: tuple[int, int] | None = None) -> FrameNetwork:
    return FrameNetwork(network, PLAIN, network_hw=hw, frame_hw=frame_hw or hw)


def frame(*pixels: tuple[int, int, int]) -> Tensor:
    """(1, 1, W, 3) uint8."""
    return torch.tensor(pixels, dtype=torch.uint8)[None, None]


# Input


def test_rgb_input_subtracts_mean_and_divides_by_std_in_rgb_order() -> None:
    image = FrameInput(INPUT_CONVENTIONS["rgb_imagenet"])(frame((255, 0, 128)))
    expected = [(255 - 123.675) / 58.395, (0 - 116.28) / 57.12, (128 - 103.53) / 57.375]
    assert (image.dtype, image.shape) == (torch.float32, (1, 3, 1, 1))
    torch.testing.assert_close(image.flatten(), torch.tensor(expected))


def test_bgr_input_swaps_channels_before_the_mean_and_does_not_divide() -> None:
    image = FrameInput(INPUT_CONVENTIONS["bgr_caffe"])(frame((255, 0, 128)))
    expected = [128 - 104.00698793, 0 - 116.66876762, 255 - 122.67891434]
    torch.testing.assert_close(image.flatten(), torch.tensor(expected))


def test_bgr_std_swaps_channels_and_keeps_the_constants_of_rgb_in_their_places() -> None:
    image = FrameInput(INPUT_CONVENTIONS["bgr_std"])(frame((255, 0, 128)))
    expected = [(128 - 123.675) / 58.395, (0 - 116.28) / 57.12, (255 - 103.53) / 57.375]
    torch.testing.assert_close(image.flatten(), torch.tensor(expected))


def test_input_is_channels_first_with_rows_and_columns_in_place() -> None:
    frames = torch.arange(2 * 2 * 3 * 3, dtype=torch.uint8).view(2, 2, 3, 3)
    image = FrameInput(PLAIN)(frames)
    assert image.shape == (2, 3, 2, 3)
    assert float(image[1, 2, 0, 1]) == float(frames[1, 0, 1, 2])


def test_halving_the_size_is_the_average_of_two_by_two_pixels() -> None:
    frames = torch.randint(0, 256, (1, 4, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    halved = FrameInput(PLAIN)(frames, (2, 3))
    expected = frames.float().view(1, 2, 2, 3, 2, 3).mean(dim=(2, 4)).permute(0, 3, 1, 2)
    torch.testing.assert_close(halved, expected)


def test_input_constants_are_not_part_of_a_checkpoint() -> None:
    assert FrameInput(PLAIN).state_dict() == {}


# Sizes


@pytest.mark.parametrize(
    ("frame_hw", "least"), [((65, 96), r"\(33, 48\)"), ((64, 97), r"\(32, 49\)"), ((480, 640), r"\(240, 320\)")]
)
def test_frame_more_than_twice_the_network_size_is_refused(frame_hw: tuple[int, int], least: str) -> None:
    with pytest.raises(ValueError, match=rf"more than twice network_hw=\(32, 48\).*at least {least}"):
        wrap(PooledChannels(), (32, 48), frame_hw)


@pytest.mark.parametrize("frame_hw", [(64, 96), (32, 48), (10, 20)])
def test_network_sees_its_size_and_outputs_have_the_frames(frame_hw: tuple[int, int]) -> None:
    network = PooledChannels(stride=8)
    labels, confidence = wrap(network, (32, 48), frame_hw)(torch.zeros(2, *frame_hw, 3, dtype=torch.uint8))
    assert network.seen[0].shape == (2, 3, 32, 48)
    assert (labels.shape, labels.dtype) == ((2, *frame_hw), torch.uint8)
    assert (confidence.shape, confidence.dtype) == ((2, *frame_hw), torch.uint8)


# Outputs


def test_labels_are_the_strongest_channel() -> None:
    labels, _ = wrap(PooledChannels(), (1, 3))(frame((9, 1, 1), (1, 9, 1), (1, 1, 9)))
    assert labels.tolist() == [[[0, 1, 2]]]


def test_confidence_is_the_largest_probability_from_0_to_255() -> None:
    _, confidence = wrap(PooledChannels(scale=0.01), (1, 3))(frame((0, 0, 0), (100, 0, 0), (0, 255, 0)))
    e1, e255 = 2.7182818, 12.807104
    expected = [255 / 3, 255 * e1 / (e1 + 2), 255 * e255 / (e255 + 2)]
    assert confidence.flatten().tolist() == [round(value) for value in expected]


def test_labels_come_from_upsampled_logits_not_from_upsampled_labels() -> None:
    # One cell (6, 0, 5), one (0, 6, 5): halfway both lose to the third channel.
    network = PooledChannels(stride=4)
    frames = torch.zeros(1, 4, 8, 3, dtype=torch.uint8)
    frames[:, :, :4] = torch.tensor([6, 0, 5], dtype=torch.uint8)
    frames[:, :, 4:] = torch.tensor([0, 6, 5], dtype=torch.uint8)
    labels, _ = wrap(network, (4, 8))(frames)
    assert labels[0, 0].tolist() == [0, 0, 0, 2, 2, 1, 1, 1]


def test_confidence_is_taken_per_cell_and_upsampled() -> None:
    network = PooledChannels(scale=10.0, stride=4)
    frames = torch.zeros(1, 4, 8, 3, dtype=torch.uint8)
    frames[:, :, :4, 0] = 255
    _, confidence = wrap(network, (4, 8))(frames)
    # Cells: 1 and 1/3; shares of the first cell along the row are 1, 1, 7/8, 5/8, 3/8, 1/8, 0, 0.
    shares = (1.0, 1.0, 0.875, 0.625, 0.375, 0.125, 0.0, 0.0)
    assert confidence[0, 0].tolist() == [round(255 * (share + (1 - share) / 3)) for share in shares]


def test_labels_and_confidence_follow_aligned_corners_where_the_network_has_them() -> None:
    network = PooledChannels(scale=10.0, stride=4)
    network.align_corners = True
    frames = torch.zeros(1, 4, 8, 3, dtype=torch.uint8)
    frames[:, :, :4, 0] = 3
    frames[:, :, 4:, 1] = 1
    labels, confidence = wrap(network, (4, 8))(frames)
    # Logits (30, 0, 0) and (0, 10, 0), share x / 7 of the second: 30 (1 - s) < 10 s from s = 3/4 on.
    assert labels[0, 0].tolist() == [0] * 6 + [1] * 2
    assert confidence[0, 0].tolist() == [255] * 8
    frames[:, :, 4:] = 0
    _, confidence = wrap(network, (4, 8))(frames)
    assert confidence[0, 0].tolist() == [round(255 * (1 - x / 7 + x / 21)) for x in range(8)]


def test_graph_of_a_real_network_repeats_its_argmax(network: DeepLabV2) -> None:
    convention = INPUT_CONVENTIONS["rgb_imagenet"]
    graph = FrameNetwork(network.train(), convention, network_hw=(32, 48), frame_hw=(50, 80))
    frames = torch.randint(0, 256, (2, 50, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels, confidence = graph(frames)
        logits = network(FrameInput(convention)(frames, (32, 48))).logits
    upsampled = nn.functional.interpolate(logits, size=(50, 80), mode="bilinear", align_corners=False)
    assert torch.equal(labels, upsampled.argmax(dim=1).to(torch.uint8))
    assert len(labels.unique()) > 1
    assert 255 / 11 - 1 <= int(confidence.min()) < int(confidence.max())


@pytest.mark.parametrize("select", [lambda graph: graph, lambda graph: graph.network])
def test_graph_is_in_evaluation_mode(network: DeepLabV2, select: Callable[[FrameNetwork], nn.Module]) -> None:
    graph = FrameNetwork(network.train(), PLAIN, network_hw=(32, 48), frame_hw=(32, 48))
    assert not any(module.training for module in select(graph).children() if list(module.parameters()))


def test_stages_are_those_of_the_labels(network: DeepLabV2) -> None:
    convention = INPUT_CONVENTIONS["bgr_caffe"]
    graph = FrameNetwork(network, convention, network_hw=(32, 48), frame_hw=(50, 80))
    frames = torch.randint(0, 256, (2, 50, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stages = graph.stages(frames)
        assert torch.equal(stages.image, FrameInput(convention)(frames, (32, 48)))
        assert torch.equal(stages.logits, network.logits(stages.image))
        labels, confidence = graph(frames)
    assert torch.equal(stages.labels, labels)
    assert torch.equal(stages.confidence, confidence)
