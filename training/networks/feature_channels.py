"""How many channels a network's features have, which only a forward pass tells of any network."""

import torch

from runtime.errors import ConfigError
from training.networks.network import NetworkOutput, SegmentationNetwork

__all__ = ["feature_channels"]

# Pixels; small enough to cost nothing, large enough for a stride of 32 to leave more than one cell.
LEAST = 64


@torch.no_grad()
def feature_channels(network: SegmentationNetwork) -> int:
    """D of the features (N, D, h, w).

    Args:
        network: is left as it was.

    Raises:
        ConfigError: it computes on no image but those of a size of its own.
    """
    side = network.size_multiple * -(-LEAST // network.size_multiple)
    is_training = {module: module.training for module in network.modules()}
    image = torch.zeros(1, 3, side, side, device=next(network.parameters()).device)
    try:
        output: NetworkOutput = network.eval()(image)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"the network cannot compute on an image of ({side}, {side}) ({type(error).__name__}: {error}), by which "
            "the size of a method's extra networks is found; choose a method without them, or a network for any size"
        ) from error
    finally:
        for module, was_training in is_training.items():
            module.training = was_training
    return int(output.features.shape[1])
