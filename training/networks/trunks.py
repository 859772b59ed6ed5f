"""ResNet trunks with output stride 8, as torchvision, Caffe's heirs and mmsegmentation build them.

They share torchvision's blocks and differ where a public checkpoint's weights would not tell: which convolution of
a bottleneck strides, how the pooling rounds, how far the first block of a stage dilates.
"""

from typing import NamedTuple, cast

from torch import nn
from torchvision.models import get_model
from torchvision.models.resnet import Bottleneck, ResNet

from training.networks.config import Backbone, Trunk

__all__ = ["TrunkParts", "build_trunk", "has_aligned_corners"]


class TrunkParts(NamedTuple):
    """The stages of a trunk, and the channels of the last."""

    stem: nn.Sequential
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    channels: int


def build_trunk(
    backbone: Backbone, trunk: Trunk, *, imagenet: bool = False, zero_init_residual: bool = False
) -> TrunkParts:
    """A trunk with random weights, or torchvision's ImageNet weights (downloads them).

    With `zero_init_residual` every random block starts as an identity (arXiv 1706.02677, section 5.1).
    """
    weights = "DEFAULT" if imagenet else None
    resnet = cast(ResNet, get_model(backbone, weights=weights, zero_init_residual=zero_init_residual))
    is_contracted = trunk in ("contracted", "deep_stem")
    _dilate(resnet.layer3, 2, first=1 if is_contracted else 2)
    _dilate(resnet.layer4, 4, first=2 if is_contracted else 4)
    stem = [resnet.conv1, resnet.bn1, resnet.relu]
    match trunk:
        case "caffe":
            _stride_first(resnet.layer2)
            resnet.maxpool.ceil_mode = True
        case "deep_stem":
            stem = [*_unit(3, 32, stride=2), *_unit(32, 32), *_unit(32, 64)]
        case "torchvision" | "contracted":
            pass
    return TrunkParts(
        stem=nn.Sequential(*stem, resnet.maxpool),
        layer1=resnet.layer1,
        layer2=resnet.layer2,
        layer3=resnet.layer3,
        layer4=resnet.layer4,
        channels=resnet.fc.in_features,
    )


def has_aligned_corners(trunk: Trunk) -> bool:
    """Whether networks on this trunk were trained with corner cells of the logits on corner pixels.

    All code that grew out of Caffe's DeepLab does; so does FADA's, on even maps, and what was trained so is run so.
    """
    return trunk in ("caffe", "contracted")


def _dilate(stage: nn.Sequential, dilation: int, *, first: int) -> None:
    """Replace the stage's stride by dilation, the first block's by `first`.

    torchvision offers this for bottleneck blocks only, and contracted only.
    """
    for number, block in enumerate(stage):
        rate = first if number == 0 else dilation
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    module.dilation = module.padding = (rate, rate)


def _stride_first(stage: nn.Sequential) -> None:
    """Move the stride of a stage's first bottleneck from its 3x3 convolution to the 1x1 before it."""
    block = stage[0]
    assert isinstance(block, Bottleneck), "the config allows this trunk for bottleneck blocks only"
    block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)


def _unit(in_channels: int, channels: int, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
