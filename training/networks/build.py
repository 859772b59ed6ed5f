"""From a config to a network: the one place where a kind is chosen."""

from typing import assert_never

from training.networks.config import DeepLabV2Config, FactoryConfig, ModelConfig, SmpConfig
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import SegmentationNetwork

__all__ = ["build_network"]


def build_network(config: ModelConfig, num_classes: int, *, imagenet: bool = False) -> SegmentationNetwork:
    """A network with fresh weights.

    Args:
        config: which one.
        num_classes: channels of the logits.
        imagenet: start the trunk from ImageNet weights, where its kind has them.
    """
    match config:
        case DeepLabV2Config():
            return DeepLabV2(
                config.backbone,
                num_classes,
                trunk=config.trunk,
                branches=config.branches,
                head=config.head,
                imagenet=imagenet,
            )
        case SmpConfig() | FactoryConfig():
            raise NotImplementedError
        case _:
            assert_never(config)
