"""What every measurement here does alike: the frames it shows, the network it trusts, and how a query is timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.config import BenchmarksConfig
from export.frozen import Frozen, freeze_checkpoint
from runtime.bundle.manifest import Manifest
from runtime.command import progress
from runtime.errors import CheckpointError, ConfigError
from runtime.files import sha256_of
from runtime.frames import check_frame
from training.data.config import FramesConfig
from training.data.open import open_frames
from training.device import Compute

__all__ = [
    "PYTORCH",
    "REST",
    "SCENARIO",
    "SEED",
    "Frame",
    "NotRun",
    "Segment",
    "Timed",
    "load_frozen",
    "open_pytorch",
    "read_frames",
    "require_same_network",
    "warm_up",
]

PYTORCH = "PyTorch eager fp32"
MAX_FRAMES = 64
# Idle threads spin after a query, ONNX Runtime's for up to 26 ms and torch's for 5 on a two-core Xeon, and would
# steal cores from the other contender.
SETTLE_S = 0.04
REST = f"{SETTLE_S * 1e3:.0f} ms of rest before each query"
SCENARIO = f"single stream; one decoded uint8 frame to label and confidence maps in host memory; {REST}"
SEED = 0

Frame = NDArray[np.uint8]
Segment = Callable[[Frame], Frame]


@dataclass(frozen=True, slots=True)
class NotRun:
    """Why something does not run on this machine."""

    reason: str


@dataclass(slots=True)
class Timed:
    """A loaded contender and what it has shown so far; `segment` takes (H, W, 3) to labels (H, W)."""

    name: str
    segment: Segment
    load_ns: int
    first_inference_ns: int = 0
    samples_ns: list[int] = field(default_factory=list)

    def query(self, frame: Frame) -> tuple[Frame, int]:
        """Labels of a frame, valid until the next query, and the nanoseconds they took."""
        time.sleep(SETTLE_S)
        start_ns = time.perf_counter_ns()
        labels = self.segment(frame)
        return labels, time.perf_counter_ns() - start_ns


def require_same_network(config: BenchmarksConfig, manifest: Manifest) -> str:
    """SHA-256 of the checkpoint, after the bundle was found to be made from it.

    Raises:
        CheckpointError: there is no checkpoint.
        ConfigError: the bundle was made from another.
    """
    if not config.checkpoint.is_file():
        raise CheckpointError(
            f"checkpoint {config.checkpoint} does not exist; run `make adapt`, or correct benchmarks.checkpoint"
        )
    found, promised = sha256_of(config.checkpoint), manifest.provenance.get("checkpoint_sha256")
    if found != promised:
        raise ConfigError(
            f"bundle {config.bundle} was not made from checkpoint {config.checkpoint}: the file has SHA-256 "
            f"{found[:12]}..., the bundle was made from {str(promised)[:12]}...; run `make export` again, or set "
            "benchmarks.checkpoint to the network file the bundle was made from"
        )
    return found


def read_frames(config: FramesConfig, manifest: Manifest) -> tuple[tuple[str, ...], list[Frame]]:
    """Names and frames to show, evenly spread over the data set and few enough to stay in memory.

    Raises:
        DataError: a frame cannot be read.
        FrameError: one is not of the bundle's size.
    """
    source = open_frames(config)
    indices = np.linspace(0, len(source) - 1, num=min(MAX_FRAMES, len(source)), dtype=int).tolist()
    names = tuple(source.name(index) for index in indices)
    frames = [source.image(index) for index in progress(indices, title="frames", unit="frame")]
    for name, frame in zip(names, frames, strict=True):
        check_frame(frame, manifest.frame_hw, name)
    return names, frames


def load_frozen(config: BenchmarksConfig, manifest: Manifest) -> Frozen:
    """The deploy graph of the checkpoint, for the frames of the bundle and at the size its network sees.

    Raises:
        CheckpointError: the network file cannot be used.
    """
    seen_hw = (manifest.network_height, manifest.network_width)
    return freeze_checkpoint(config.checkpoint, manifest.frame_hw, network_hw=seen_hw, factory=config.factory)


def open_pytorch(config: BenchmarksConfig, manifest: Manifest) -> Timed:
    """The deploy graph of the checkpoint in PyTorch eager mode, float32, channels last, without gradients.

    Raises:
        CheckpointError: the network file cannot be used.
    """
    start_ns = time.perf_counter_ns()
    graph = Compute(torch.device("cpu"), "fp32").place(load_frozen(config, manifest).network)
    load_ns = time.perf_counter_ns() - start_ns

    def segment(frame: Frame) -> Frame:
        with torch.no_grad():
            labels, confidence = graph(torch.from_numpy(frame)[None])
        confidence.numpy()
        found: Frame = labels[0].numpy()
        return found

    return Timed(PYTORCH, segment, load_ns)


def warm_up(contenders: Sequence[Timed], frames: Sequence[Frame], num_frames: int) -> None:
    """Show each contender a first frame, whose time it keeps, and then so many more."""
    for contender in progress(contenders, title="warm-up", unit="contender"):
        _, contender.first_inference_ns = contender.query(frames[0])
        for index in range(num_frames):
            contender.query(frames[index % len(frames)])
