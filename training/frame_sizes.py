"""Sizes of frames that the deploy graph can serve: told before a run, and by name wherever it meets another one."""

from runtime.errors import ConfigError, DataError
from training.checkpoint import NetworkSpec
from training.data.frames import Frames
from training.distributed import ALONE, World
from training.frame_network import FrameNetwork, require_every_pixel_seen
from training.networks.network import SegmentationNetwork

__all__ = ["frame_network_of", "require_servable"]


def require_servable(frames: Frames, network_hw: tuple[int, int], *, key: str, world: World = ALONE) -> None:
    """Refuse frames the deploy graph cannot serve, before hours are spent; of files the headers alone are read.

    Args:
        frames: all that it will be given.
        network_hw: height and width the network sees.
        key: of the frames in the run file, for the error.
        world: whose processes share the reading.

    Raises:
        ConfigError: a frame is more than twice the network's size.
        DataError: a frame's file cannot be read.
    """
    for index in world.share(range(len(frames))):
        try:
            require_every_pixel_seen(frames.hw(index), network_hw)
        except ValueError as error:
            raise ConfigError(
                f"model.network_hw: {error}, such as {frames.name(index)} of {key}, or leave them out"
            ) from error


def frame_network_of(
    network: SegmentationNetwork, spec: NetworkSpec, frame_hw: tuple[int, int], *, name: str
) -> FrameNetwork:
    """The deploy graph for a frame of a data set.

    Args:
        network: on whatever device.
        spec: how it is fed.
        frame_hw: height and width of the frame.
        name: of the frame, for the error.

    Raises:
        DataError: the frame is more than twice the network's size.
    """
    try:
        return spec.frame_network(network, frame_hw)
    except ValueError as error:
        raise DataError(f"frame {name} does not fit model.network_hw: {error}, or leave it out") from error
