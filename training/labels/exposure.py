"""At which exposure target frames look most like the source's to the network itself, without a label or source frame.

Batch norm takes out what is linear in light, and dusk is not: shadows crowd together. Frames brightened or darkened by
an exponent are compared with the statistics that source training left in the network.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from runtime.command import say
from training.checkpoint import NetworkSpec
from training.device import Compute
from training.labels.looks import exposed
from training.networks.network import SegmentationNetwork
from training.statistics.batch_norm import (
    estimate_statistics,
    has_statistics,
    read_statistics,
    statistics_distance,
)

__all__ = ["EXPOSURES", "exposures_to_look_at"]

EXPOSURES = (0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0)


def exposures_to_look_at(
    network: SegmentationNetwork,
    spec: NetworkSpec,
    frames: Iterable[Sequence[Tensor]],
    compute: Compute,
) -> tuple[float, ...]:
    """1, for frames as they are, and the exposure that brings them nearest to the source where that is another.

    A network without batch norm has nothing to tell it by: frames are then looked at as they are, and that is said.

    Args:
        network: in evaluation mode, with its statistics as source training left them; left as it was.
        spec: how it is fed.
        frames: (1, H, W, 3) uint8 each, in batches that the network normalises together.
        compute: where and how precisely.
    """
    if not has_statistics(network):
        say("the network has no batch norm by which to choose an exposure: frames are looked at as they are")
        return (1.0,)
    source = read_statistics(network)
    frame_input = spec.frame_input().to(compute.device)
    batches = list(frames)

    def images(exposure: float) -> Iterator[Tensor]:
        for batch in batches:
            yield torch.cat([frame_input(exposed(frame, exposure), spec.network_hw) for frame in batch])

    distances = {}
    for exposure in EXPOSURES:
        with compute.autocast():
            found = estimate_statistics(network, network, images(exposure))
        distances[exposure] = statistics_distance(source, found)
    best = min(distances, key=distances.__getitem__)
    told = ", ".join(f"{exposure:g}: {distance:.3f}" for exposure, distance in distances.items())
    say(f"target frames are nearest to the source at exposure {best:g} (distance by exponent: {told})")
    return (1.0,) if best == 1.0 else (1.0, best)
