"""What a peer is given and what it owes: a way from a decoded frame to a label map of the frame's size."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Frame, NotRun, Segment
from runtime.bundle.manifest import Precision
from training.checkpoint import NetworkSpec
from training.frame_network import FrameNetwork

__all__ = ["Given", "Peer"]


@dataclass(frozen=True, slots=True)
class Given:
    """What every peer starts from.

    `graph` is the deploy graph on the CPU, in evaluation mode, without gradients; peers that want another form copy it.
    `frames` are those that are timed, which peers may calibrate on: an advantage over the bundle, whose were others.
    `threads` are the CPU threads that were asked for; None leaves each engine what it takes by itself, as its users do.
    `folder` is for the files they make, and is deleted after the run.
    """

    graph: FrameNetwork
    spec: NetworkSpec
    frames: Sequence[Frame]
    threads: int | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A way of serving the network that is not ours.

    `path` tells people what happens from frame to labels, and `precision` what the convolutions compute in. `open`
    makes it ready, until the stack closes, or says why it does not run here.
    """

    name: str
    path: str
    precision: Precision
    open: Callable[[Given, ExitStack], Segment | NotRun]
