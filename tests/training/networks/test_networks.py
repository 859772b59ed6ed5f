"""DeepLabV2: output stride, dilations, summed classifiers, and which features come out."""

import pytest
import torch
from torch import nn

from training.networks.config import Backbone
from training.networks.deeplab_v2 import ASPP_DILATIONS, OUTPUT_STRIDE, DeepLabV2
from training.networks.network import upsample

CHANNELS: dict[Backbone, int] = {"resnet18": 256, "resnet34": 256, "resnet50": 1024, "resnet101": 1024}


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_every_backbone_has_output_stride_8_at_any_size(backbone: Backbone) -> None:
    network = DeepLabV2(backbone, 3).eval()
    for (height, width), (rows, columns) in {(32, 64): (4, 8), (33, 71): (5, 9), (9, 8): (2, 1)}.items():
        with torch.no_grad():
            output = network(torch.rand(1, 3, height, width))
        assert output.logits.shape == (1, 3, rows, columns)
        assert output.features.shape == (1, CHANNELS[backbone], rows, columns)
        assert output.logits.dtype == torch.float32
        assert float(output.features.min()) >= 0.0
    assert OUTPUT_STRIDE == 8


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_stages_three_and_four_are_dilated_and_strided_nowhere(backbone: Backbone) -> None:
    network = DeepLabV2(backbone, 3)
    for stage, dilation in ((network.layer1, 1), (network.layer2, 1), (network.layer3, 2), (network.layer4, 4)):
        spatial = [m for m in stage.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert {conv.dilation for conv in spatial} == {(dilation, dilation)}
        assert {conv.padding for conv in spatial} == {(dilation, dilation)}
    for stage in (network.layer3, network.layer4):
        assert {conv.stride for conv in stage.modules() if isinstance(conv, nn.Conv2d)} == {(1, 1)}
    strides = [m.stride for m in network.layer2.modules() if isinstance(m, nn.Conv2d)]
    assert (2, 2) in strides


def test_logits_are_the_sum_of_four_dilated_classifiers_on_the_last_stage(network: DeepLabV2) -> None:
    network.eval()
    seen: list[torch.Tensor] = []
    hook = network.layer4.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        output = network(torch.rand(2, 3, 32, 40))
        hook.remove()
        branches = [branch(seen[0]) for branch in network.classifier.children()]
    torch.testing.assert_close(output.logits, branches[0] + branches[1] + branches[2] + branches[3])
    assert all(float((output.logits - branch).abs().max()) > 1e-3 for branch in branches)


def test_classifiers_have_the_papers_dilations_and_start_near_zero() -> None:
    network = DeepLabV2("resnet18", 19)
    assert ASPP_DILATIONS == (6, 12, 18, 24)
    for branch, dilation in zip(network.classifier.children(), (6, 12, 18, 24), strict=True):
        assert isinstance(branch, nn.Conv2d)
        assert (branch.kernel_size, branch.dilation, branch.padding) == ((3, 3), (dilation,) * 2, (dilation,) * 2)
        assert branch.out_channels == 19
        assert float(branch.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
        assert branch.bias is not None
        assert bool((branch.bias == 0).all())


def test_features_are_what_the_last_stage_is_given(network: DeepLabV2) -> None:
    network.eval()
    seen: list[torch.Tensor] = []
    network.layer4.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        output = network(torch.rand(1, 3, 32, 40))
    assert torch.equal(output.features, seen[0])
    assert bool((output.features == 0).any())


def test_gradient_reaches_the_first_convolution_from_both_outputs(network: DeepLabV2) -> None:
    for name in ("logits", "features"):
        network.zero_grad()
        getattr(network.train()(torch.rand(2, 3, 32, 40)), name).square().sum().backward()
        gradient = network.get_parameter("stem.0.weight").grad
        assert isinstance(gradient, torch.Tensor)
        assert bool(gradient.isfinite().all() and (gradient != 0).any())


def test_upsampling_is_bilinear_between_pixel_centres() -> None:
    logits = torch.tensor([[[[0.0, 4.0]]]])
    assert upsample(logits, (1, 4)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_upsampling_returns_float32() -> None:
    assert upsample(torch.zeros(1, 2, 2, 2, dtype=torch.bfloat16), (4, 4)).dtype == torch.float32


def test_upsampling_aligns_corners_where_it_is_asked_to() -> None:
    logits = torch.tensor([[[[0.0, 3.0]]]])
    assert upsample(logits, (1, 4), align_corners=True).flatten().tolist() == pytest.approx([0.0, 1.0, 2.0, 3.0])


def test_logits_of_the_right_size_are_left_as_they_are() -> None:
    logits = torch.rand(1, 2, 3, 4)
    assert torch.equal(upsample(logits, (3, 4)), logits)


def test_logits_alone_are_those_of_the_forward_pass(network: DeepLabV2) -> None:
    image = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(network.eval().logits(image), network(image).logits)
