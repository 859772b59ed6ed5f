"""DeepLabV2 on torchvision's ResNets: output stride 8, four dilated classifiers whose logits are summed.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
Fully Connected CRFs", arXiv 1606.00915, in the form used by IAPC (arXiv 2306.01598): no dropout, and the
features of the prototype part are the post-ReLU output of layer3.
"""

from typing import cast

from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.resnet import ResNet

from training.networks.config import Backbone
from training.networks.network import NetworkOutput, SegmentationNetwork

__all__ = ["ASPP_DILATIONS", "OUTPUT_STRIDE", "DeepLabV2"]

OUTPUT_STRIDE = 8
ASPP_DILATIONS = (6, 12, 18, 24)


class DeepLabV2(SegmentationNetwork):
    """(N, 3, H, W) normalised image -> `NetworkOutput` with h = ceil(H / 8), w = ceil(W / 8)."""

    head = "classifier"

    def __init__(self, backbone: Backbone, num_classes: int, *, imagenet: bool = False) -> None:
        """Build the network.

        Args:
            backbone: depth of the trunk.
            num_classes: channels of the logits.
            imagenet: start the trunk from torchvision's ImageNet weights (downloads them) instead of at random.
        """
        super().__init__()
        trunk = cast(ResNet, get_model(backbone, weights="DEFAULT" if imagenet else None))
        _dilate(trunk.layer3, 2)
        _dilate(trunk.layer4, 4)
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
        self.layer1, self.layer2 = trunk.layer1, trunk.layer2
        self.layer3, self.layer4 = trunk.layer3, trunk.layer4
        self.classifier = nn.ModuleList(
            _dilated_classifier(trunk.fc.in_features, num_classes, d) for d in ASPP_DILATIONS
        )

    def forward(self, image: Tensor) -> NetworkOutput:
        """Logits and layer-3 features of a batch of images."""
        features = self.layer3(self.layer2(self.layer1(self.stem(image))))
        deep = self.layer4(features)
        first, *others = (branch(deep) for branch in self.classifier)
        return NetworkOutput(logits=sum(others, start=first), features=features)


def _dilate(stage: nn.Module, dilation: int) -> None:
    """Replace the stage's stride by dilation. torchvision offers this for bottleneck blocks only."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)


def _dilated_classifier(in_channels: int, num_classes: int, dilation: int) -> nn.Conv2d:
    classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=dilation, dilation=dilation)
    nn.init.normal_(classifier.weight, std=0.01)
    assert classifier.bias is not None
    nn.init.zeros_(classifier.bias)
    return classifier
