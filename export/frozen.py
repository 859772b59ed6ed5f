"""What is exported: the deploy graph of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from export.config import ExportConfig
from runtime.errors import ConfigError
from training.checkpoint import NetworkSpec, load_network
from training.frame_network import FrameNetwork
from training.networks.probe import require_sees

__all__ = ["Frozen", "freeze", "freeze_checkpoint"]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A deploy graph in evaluation mode on the CPU, without gradients, and what its network file says."""

    network: FrameNetwork
    spec: NetworkSpec


def freeze(config: ExportConfig, frame_hw: tuple[int, int]) -> Frozen:
    """Rebuild the network of an export's checkpoint as a deploy graph for frames of one size.

    Raises:
        CheckpointError: the network file cannot be used.
        ConfigError: the frames are too large for the size the network sees, or it cannot see that size.
    """
    return freeze_checkpoint(config.checkpoint, frame_hw, network_hw=config.network_hw, factory=config.factory)


def freeze_checkpoint(
    checkpoint: Path,
    frame_hw: tuple[int, int],
    *,
    network_hw: tuple[int, int] | None = None,
    factory: str | None = None,
) -> Frozen:
    """The same of any network file.

    Args:
        checkpoint: the file.
        frame_hw: height and width of the frames.
        network_hw: height and width the network sees; None takes those of the file.
        factory: the function that the file may call.

    Raises:
        CheckpointError: the network file cannot be used.
        ConfigError: the frames are too large for the size the network sees, or it cannot see that size.
    """
    network, spec = load_network(checkpoint, factory=factory)
    if network_hw is not None and network_hw != spec.network_hw:
        require_sees(network, "export.network_hw", network_hw)
        spec = spec.seen_at(network_hw)
    try:
        frame_network = spec.frame_network(network, frame_hw)
    except ValueError as error:
        raise ConfigError(f"checkpoint {checkpoint}: {error}") from error
    frame_network.eval().requires_grad_(False)
    return Frozen(frame_network, spec)
