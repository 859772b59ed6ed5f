"""From a config to a network: the one place where a kind is chosen."""

from typing import assert_never

from training.networks.config import DeepLabV2Config, FactoryConfig, ModelConfig, SmpConfig
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.factory import build_factory
from training.networks.network import SegmentationNetwork
from training.networks.smp import build_smp

__all__ = ["build_network"]


def build_network(config: ModelConfig, num_classes: int, *, imagenet: bool = False) -> SegmentationNetwork:
    """A network with fresh weights.

    Args:
        config: which one.
        num_classes: channels of the logits.
        imagenet: start the trunk from ImageNet weights, where its kind has them.

    Raises:
        ConfigError: a network that is not built in cannot be made as the config says.
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
                zero_init_residual=config.zero_init_residual,
            )
        case SmpConfig():
            return build_smp(config, num_classes, imagenet=imagenet)
        case FactoryConfig():
            return build_factory(config, num_classes)
        case _:
            assert_never(config)
