"""What is exported and what it is compared on: the deploy graph of a checkpoint, and target frames of one size."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.config import ExportConfig
from runtime.command import say
from runtime.errors import ConfigError, DataError
from training.checkpoint import NetworkSpec, load_network
from training.data.frames import Frames
from training.data.open import open_frames
from training.frame_network import FrameNetwork

__all__ = ["Frozen", "TargetFrames", "freeze", "open_target_frames"]


@dataclass(frozen=True, slots=True)
class TargetFrames:
    """Frames spread evenly over a data set, all of one size."""

    frames: Frames
    indices: tuple[int, ...]
    frame_hw: tuple[int, int]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indices)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Read the frames one by one, each (1, *frame_hw, 3) uint8 RGB.

        Raises:
            DataError: a frame cannot be read, or has another size.
        """
        for index in self.indices:
            frame = self.frames.image(index)
            if frame.shape[:2] != self.frame_hw:
                raise DataError(
                    f"frame {self.frames.name(index)} is {frame.shape[0]}x{frame.shape[1]} pixels (height x width), "
                    f"but the bundle is for {self.frame_hw[0]}x{self.frame_hw[1]}; set export.frame_hw to the "
                    "camera's size and give frames of that size"
                )
            yield np.ascontiguousarray(frame)[np.newaxis]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A deploy graph in evaluation mode on the CPU, without gradients, and what its network file says."""

    network: FrameNetwork
    spec: NetworkSpec


def open_target_frames(config: ExportConfig) -> TargetFrames:
    """Choose the frames of the parity gate.

    Raises:
        DataError: the data set is not where the config says, or its first frame cannot be read.
    """
    frames = open_frames(config.frames)
    num_frames = min(config.num_parity_frames, len(frames))
    if num_frames < config.num_parity_frames:
        say(f"only {num_frames} of export.num_parity_frames={config.num_parity_frames} frames exist; all are taken")
    indices = tuple(int(index) for index in np.linspace(0, len(frames) - 1, num=num_frames, dtype=int))
    height, width = config.frame_hw or frames.image(indices[0]).shape[:2]
    return TargetFrames(frames, indices, (height, width))


def freeze(config: ExportConfig, frame_hw: tuple[int, int]) -> Frozen:
    """Rebuild the network of the checkpoint as a deploy graph for frames of one size.

    Raises:
        CheckpointError: the network file cannot be used.
        ConfigError: the frames are too large for the size the network sees.
    """
    network, spec = load_network(config.checkpoint, factory=config.factory)
    try:
        frame_network = spec.frame_network(network, frame_hw)
    except ValueError as error:
        raise ConfigError(f"checkpoint {config.checkpoint}: {error}") from error
    frame_network.eval().requires_grad_(False)
    return Frozen(frame_network, spec)
