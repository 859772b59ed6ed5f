"""DeepLabV2 on a ResNet with output stride 8.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
Fully Connected CRFs", arXiv 1606.00915, in the form used by IAPC (arXiv 2306.01598): no dropout, and the
features of the prototype part are the post-ReLU output of layer3.
"""

from torch import Tensor, nn

from training.networks.config import Backbone, Head, Trunk
from training.networks.heads import ASPP_DILATIONS, Module2Head, SumHead
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.networks.trunks import build_trunk, has_aligned_corners

__all__ = ["ASPP_DILATIONS", "OUTPUT_STRIDE", "DeepLabV2"]

OUTPUT_STRIDE = 8


class DeepLabV2(SegmentationNetwork):
    """(N, 3, H, W) normalised image -> `NetworkOutput` with h = ceil(H / 8), w = ceil(W / 8).

    On a Caffe trunk, whose pooling rounds up, h = floor((H + 1) / 8) + 1 and w likewise: 65 x 129 for 512 x 1024.
    """

    head = "classifier"

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        trunk: Trunk = "torchvision",
        branches: int = 4,
        head: Head = "sum",
        imagenet: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        """Build the network.

        Args:
            backbone: depth of the trunk.
            num_classes: channels of the logits.
            trunk: whose form of it; also decides `align_corners`.
            branches: dilated classifiers of a `sum` head.
            head: the form of the classifier.
            imagenet: start the trunk from torchvision's ImageNet weights (downloads them) instead of at random.
            zero_init_residual: start every random block of the trunk as an identity.
        """
        super().__init__()
        parts = build_trunk(backbone, trunk, imagenet=imagenet, zero_init_residual=zero_init_residual)
        self.align_corners = has_aligned_corners(trunk)
        self.stem = parts.stem
        self.layer1, self.layer2 = parts.layer1, parts.layer2
        self.layer3, self.layer4 = parts.layer3, parts.layer4
        self.classifier: nn.Module = (
            SumHead(parts.channels, num_classes, branches=branches)
            if head == "sum"
            else Module2Head(parts.channels, num_classes, has_norm=head == "module2_bn")
        )

    def forward(self, image: Tensor) -> NetworkOutput:
        """Logits and layer-3 features of a batch of images."""
        features = self.layer3(self.layer2(self.layer1(self.stem(image))))
        return NetworkOutput(logits=self.classifier(self.layer4(features)), features=features)

    def sum_by_taps(self, is_wanted: bool) -> None:
        """Sum dilated classifiers as `tap_sum` does; the graph that is deployed keeps its convolutions."""
        if isinstance(self.classifier, SumHead):
            self.classifier.by_taps = is_wanted
