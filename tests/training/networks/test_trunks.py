"""Forms of the trunk and of the classifier: sizes, strides, dilations, and equality with blocks written by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from training.networks.build import build_network
from training.networks.config import Backbone, DeepLabV2Config, Trunk
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.heads import Gate, Module2Head
from training.networks.trunks import build_trunk


def config(**keys: Any) -> DeepLabV2Config:
    return DeepLabV2Config.model_validate(
        {"kind": "deeplab_v2", "backbone": "resnet50", "network_hw": (64, 96), **keys}
    )


@pytest.mark.parametrize(
    ("trunk", "hw"),
    [("torchvision", (64, 128)), ("contracted", (64, 128)), ("caffe", (65, 129)), ("deep_stem", (64, 128))],
)
def test_maps_of_a_512_by_1024_image(trunk: Trunk, hw: tuple[int, int]) -> None:
    """On the meta device: sizes are all that is asked, and an image of this size takes long."""
    with torch.device("meta"):
        output = DeepLabV2("resnet50", 3, trunk=trunk)(torch.empty(1, 3, 512, 1024))
    assert tuple(output.logits.shape[2:]) == tuple(output.features.shape[2:]) == hw


@pytest.mark.parametrize("side", [33, 39, 40, 41, 64, 65, 71])
def test_caffe_pooling_rounds_up(side: int) -> None:
    with torch.device("meta"):
        output = DeepLabV2("resnet50", 3, trunk="caffe")(torch.empty(1, 3, side, 64))
    assert tuple(output.logits.shape[2:]) == ((side + 1) // 8 + 1, 9)


@pytest.mark.parametrize(
    ("trunk", "is_aligned"), [("torchvision", False), ("contracted", True), ("caffe", True), ("deep_stem", False)]
)
def test_logits_are_upsampled_as_the_projects_of_a_trunk_do(trunk: Trunk, is_aligned: bool) -> None:
    with torch.device("meta"):
        assert DeepLabV2("resnet50", 3, trunk=trunk).align_corners is is_aligned


@pytest.mark.parametrize(("trunk", "on_first"), [("caffe", True), ("torchvision", False), ("contracted", False)])
def test_a_strided_bottleneck_equals_one_written_by_hand(trunk: Trunk, on_first: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = build_trunk("resnet50", trunk, imagenet=False).layer2[0].eval()
    assert isinstance(block, Bottleneck)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    image = torch.rand(1, 256, 9, 13)
    first, second = (2, 1) if on_first else (1, 2)

    def norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    with torch.no_grad():
        y = F.relu(norm(F.conv2d(image, block.conv1.weight, stride=first), block.bn1))
        y = F.relu(norm(F.conv2d(y, block.conv2.weight, stride=second, padding=1), block.bn2))
        y = norm(F.conv2d(y, block.conv3.weight), block.bn3)
        assert block.downsample is not None
        shortcut = norm(F.conv2d(image, block.downsample[0].get_parameter("weight"), stride=2), block.downsample[1])
        torch.testing.assert_close(block(image), F.relu(y + shortcut))


@pytest.mark.parametrize(("trunk", "first"), [("caffe", (2, 4)), ("contracted", (1, 2)), ("deep_stem", (1, 2))])
def test_first_blocks_dilate_as_their_trunk_says(trunk: Trunk, first: tuple[int, int]) -> None:
    with torch.device("meta"):
        parts = build_trunk("resnet50", trunk, imagenet=False)
    for stage, rates in ((parts.layer3, (first[0], 2)), (parts.layer4, (first[1], 4))):
        found = [m.dilation[0] for m in stage.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert found == [rates[0]] + [rates[1]] * (len(stage) - 1)
        assert all(m.padding == m.dilation for m in stage.modules() if getattr(m, "kernel_size", None) == (3, 3))


def test_deep_stem_is_three_small_convolutions() -> None:
    with torch.device("meta"):
        stem = build_trunk("resnet50", "deep_stem", imagenet=False).stem
    found = [(m.in_channels, m.out_channels, m.kernel_size, m.stride) for m in stem if isinstance(m, nn.Conv2d)]
    assert found == [(3, 32, (3, 3), (2, 2)), (32, 32, (3, 3), (1, 1)), (32, 64, (3, 3), (1, 1))]
    assert [name for name, _ in stem.named_parameters() if name.endswith("weight")] == [
        f"{number}.weight" for number in (0, 1, 3, 4, 6, 7)
    ]


def test_names_of_tensors_do_not_depend_on_the_form_where_shapes_do_not() -> None:
    with torch.device("meta"):
        plain, caffe = (DeepLabV2("resnet50", 3, trunk=trunk).state_dict() for trunk in ("torchvision", "caffe"))
        halved = DeepLabV2("resnet50", 3, branches=2).state_dict()
    assert list(plain) == list(caffe)
    assert set(plain) - set(halved) == {f"classifier.{k}.{kind}" for k in (2, 3) for kind in ("weight", "bias")}
    assert {"stem.0.weight", "stem.1.bias", "layer4.2.bn3.running_var", "classifier.3.bias"} <= set(plain)


def test_two_branches_are_the_first_two() -> None:
    with torch.device("meta"):
        network = DeepLabV2("resnet50", 3, branches=2)
    assert [m.dilation for m in network.classifier.modules() if isinstance(m, nn.Conv2d)] == [(6, 6), (12, 12)]


@pytest.mark.parametrize("has_norm", [False, True])
def test_module2_learns_in_every_tensor(has_norm: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = Module2Head(64, 5, has_norm=has_norm)
        logits = head(torch.rand(2, 64, 6, 7))
    assert logits.shape == (2, 5, 6, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in head.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) for m in head.modules()) is has_norm


def test_gate_weighs_channels_by_their_means() -> None:
    gate = Gate(16)
    features = torch.rand(2, 16, 3, 4)
    weights = gate.se(features.mean((2, 3)))
    torch.testing.assert_close(gate(features)[1, 5], features[1, 5] * weights[1, 5])
    assert bool(((weights > 0) & (weights < 1)).all())


def test_the_config_reaches_the_network() -> None:
    with torch.device("meta"):
        network = build_network(config(trunk="caffe", head="module2_bn"), 5)
        halved = build_network(config(trunk="contracted", branches=2), 5)
    assert network.align_corners
    assert network.state_dict()["classifier.head.1.weight"].shape == (5, 256, 1, 1)
    assert "classifier.norm.running_mean" in network.state_dict()
    assert "classifier.2.weight" not in halved.state_dict()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"backbone": "resnet18", "trunk": "caffe"}, "trunk=caffe is a form of bottleneck blocks, .*resnet18"),
        ({"backbone": "resnet34", "trunk": "deep_stem"}, "use resnet50 or resnet101"),
        ({"trunk": "caffe", "imagenet": True}, "imagenet=true gives torchvision's weights, .* trunk=caffe"),
        ({"trunk": "deep_stem", "imagenet": True}, r"source\.start_from"),
        ({"imagenet": True, "zero_init_residual": True}, "zero_init_residual=true is for random weights"),
        ({"head": "module2", "branches": 2}, "branches=2 are of head: sum"),
        ({"branches": 3}, "Input should be 2 or 4"),
    ],
)
def test_what_cannot_be_built_is_refused_by_the_config(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**keys)


def test_torchvisions_weights_may_start_the_trunks_that_share_its_form() -> None:
    assert config(imagenet=True).imagenet
    assert config(trunk="contracted", imagenet=True).imagenet


@pytest.mark.parametrize(("backbone", "channels"), [("resnet18", 64), ("resnet50", 256)])
def test_blocks_start_as_identities_where_that_is_wanted(backbone: Backbone, channels: int) -> None:
    image = torch.rand(1, channels, 8, 12)
    for is_wanted in (True, False):
        network = build_network(config(backbone=backbone, zero_init_residual=is_wanted), 3).eval()
        with torch.no_grad():
            assert torch.equal(network.get_submodule("layer1.1")(image), image) is is_wanted
