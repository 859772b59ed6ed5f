import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.gates.preprocessing import convention_problem, graph_problem, network_input
from runtime.bundle.manifest import InputConvention
from training.checkpoint import NetworkSpec
from training.networks.config import INPUT_CONVENTIONS, DeepLabV2Config, InputName

NETWORK_HW = (32, 48)


def spec_of(name: InputName) -> NetworkSpec:
    values = {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": NETWORK_HW, "input": name}
    return NetworkSpec(model=DeepLabV2Config.model_validate(values), label_space="cityscapes19")


@pytest.fixture(params=[(32, 48), (64, 96), (50, 70), (20, 30)])
def frame(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, *request.param, 3), dtype=np.uint8)


def trained(frame: NDArray[np.uint8], name: InputName) -> NDArray[np.float32]:
    image: NDArray[np.float32] = spec_of(name).frame_input()(torch.from_numpy(frame), NETWORK_HW).numpy()
    return image


@pytest.mark.parametrize("name", list(INPUT_CONVENTIONS))
def test_words_of_the_manifest_lead_to_what_training_feeds(name: InputName, frame: NDArray[np.uint8]) -> None:
    stated = network_input(frame, INPUT_CONVENTIONS[name], NETWORK_HW)
    np.testing.assert_allclose(stated, trained(frame, name), atol=0.01 / min(INPUT_CONVENTIONS[name].std))
    assert convention_problem(frame, INPUT_CONVENTIONS[name], spec_of(name)) is None
    assert graph_problem(frame, trained(frame, name), spec_of(name), "fp32") is None


def test_halved_pixels_are_the_mean_of_four() -> None:
    frame = np.array([[[10], [20]], [[30], [41]]], dtype=np.uint8).repeat(3, axis=2)[np.newaxis]
    convention = InputConvention(channel_order="rgb", mean=(0.25, 1.25, 2.25), std=(1.0, 2.0, 4.0))
    np.testing.assert_allclose(network_input(frame, convention, (1, 1))[0, :, 0, 0], [25.0, 12.0, 5.75])


def test_wrong_mean_in_the_manifest_is_told(frame: NDArray[np.uint8]) -> None:
    right = INPUT_CONVENTIONS["rgb_imagenet"]
    wrong = right.model_copy(update={"mean": (123.675, 116.28, 104.0)})
    problem = convention_problem(frame, wrong, spec_of("rgb_imagenet"))
    assert problem is not None
    assert problem.startswith('the manifest\'s input {"channel_order":"rgb","mean":[123.675,116.28,104.0]')
    assert "it differs by up to 0.47" in problem


def test_wrong_channel_order_in_the_manifest_is_told(frame: NDArray[np.uint8]) -> None:
    wrong = INPUT_CONVENTIONS["rgb_imagenet"].model_copy(update={"channel_order": "bgr"})
    problem = convention_problem(frame, wrong, spec_of("rgb_imagenet"))
    assert problem is not None
    assert problem.endswith("red and blue are swapped")


def test_half_precision_may_round_but_not_shift(frame: NDArray[np.uint8]) -> None:
    image = trained(frame, "bgr_caffe").astype(np.float16)
    assert graph_problem(frame, image, spec_of("bgr_caffe"), "fp16") is None
    shifted = (image + np.float16(1.0)).astype(np.float16)
    assert graph_problem(frame, shifted, spec_of("bgr_caffe"), "fp16") is not None


def test_nan_is_not_a_small_difference(frame: NDArray[np.uint8]) -> None:
    image = trained(frame, "rgb_imagenet").copy()
    image[0, 0, 0, 0] = np.nan
    assert graph_problem(frame, image, spec_of("rgb_imagenet"), "fp32") is not None


def test_another_size_is_told(frame: NDArray[np.uint8]) -> None:
    image = trained(frame, "rgb_imagenet")[:, :, :-8]
    problem = graph_problem(frame, image, spec_of("rgb_imagenet"), "fp32")
    assert problem == "its network sees (1, 3, 24, 48), expected (1, 3, 32, 48) as in training"
