"""What is exported: the deploy graph of a checkpoint."""

from dataclasses import dataclass

from export.config import ExportConfig
from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec, load_network
from training.frame_network import FrameNetwork
from training.networks.probe import require_multiple

__all__ = ["Frozen", "freeze"]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A deploy graph in evaluation mode on the CPU, without gradients, and what its network file says."""

    network: FrameNetwork
    spec: NetworkSpec


def freeze(config: ExportConfig, frame_hw: tuple[int, int]) -> Frozen:
    """Rebuild the network of the checkpoint as a deploy graph for frames of one size.

    Raises:
        CheckpointError: the network file cannot be used.
        ConfigError: the frames are too large for the size the network sees, or it cannot see that size.
    """
    network, spec = load_network(config.checkpoint, factory=config.factory)
    if config.network_hw is not None:
        require_multiple(network, "export.network_hw", config.network_hw)
        spec = spec.seen_at(config.network_hw)
    try:
        frame_network = spec.frame_network(network, frame_hw)
    except ValueError as error:
        raise ConfigError(f"checkpoint {config.checkpoint}: {error}") from error
    frame_network.eval().requires_grad_(False)
    return Frozen(frame_network, spec)
