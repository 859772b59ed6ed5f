"""Contenders that take turns over the same frames: their time, their labels beside PyTorch's, and the truth.

One round shows one frame to every contender, in an order drawn anew, so that whatever slows the machine for a while
hits all of them; no sample is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.accuracy import PixelCounts, miou_lead, miou_of
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import SEED, Frame, Timed
from benchmarks.document import Ratio
from benchmarks.samples import speedup, speedup_interval
from runtime.bundle.manifest import Manifest
from runtime.command import progress, say
from runtime.frames import check_frame
from training.checkpoint import load_network
from training.data.frames import LabelledFrames
from training.data.open import open_labelled_frames

__all__ = ["Contender", "TestFrames", "count_truth", "open_test", "run_rounds"]


@dataclass(slots=True)
class Contender:
    """What runs, and its labels so far: against PyTorch's, and against the truth."""

    timed: Timed
    truth: PixelCounts = field(default_factory=PixelCounts)
    num_equal: int = 0
    num_pixels: int = 0

    @property
    def agreement(self) -> float:
        """Share of pixels with PyTorch's label."""
        return self.num_equal / self.num_pixels

    @property
    def miou(self) -> float | None:
        """See `miou_of`."""
        return miou_of(self.truth)

    def miou_figures(self, reference: "Contender") -> dict[str, Any]:
        """What a row of a document says of accuracy: `miou`, its change against the reference and the interval."""
        lead = None if self is reference else miou_lead(self.truth, reference.truth)
        change = {} if lead is None else {"miou_change": lead.value, "miou_change_interval": lead.interval}
        return {"miou": self.miou, **change}

    def ratio_to(self, baseline: "Contender | None") -> Ratio | None:
        """How many times as fast as the baseline this one is; None without one."""
        if baseline is None:
            return None
        ours_ns, baseline_ns = np.array(self.timed.samples_ns), np.array(baseline.timed.samples_ns)
        low, high = speedup_interval(ours_ns, baseline_ns)
        return Ratio(value=speedup(ours_ns, baseline_ns), low=low, high=high)


@dataclass(frozen=True, slots=True)
class TestFrames:
    """Labelled frames of the bundle's size."""

    frames: LabelledFrames
    indices: tuple[int, ...]


def open_test(config: BenchmarksConfig) -> TestFrames | None:
    """The labelled frames of the config, spread evenly; None where it names none.

    Raises:
        ConfigError: `test` has no labels.
    """
    if config.test is None:
        return None
    _, spec = load_network(config.checkpoint, factory=config.factory)
    frames = open_labelled_frames(config.test, spec.label_space)
    num_frames = min(config.num_test_frames, len(frames))
    if num_frames < config.num_test_frames:
        say(f"only {num_frames} of benchmarks.num_test_frames={config.num_test_frames} frames exist; all are taken")
    return TestFrames(frames, tuple(np.linspace(0, len(frames) - 1, num=num_frames, dtype=int).tolist()))


def count_truth(test: TestFrames | None, manifest: Manifest, contenders: Sequence[Contender]) -> None:
    """Count each contender's labels by the true class, on the labelled frames where there are any.

    Raises:
        DataError: a frame or label map cannot be read.
        FrameError: a frame is not of the bundle's size.
    """
    if test is None:
        return
    for index in progress(test.indices, title="mIoU", unit="frame"):
        frame, truth = test.frames.image(index), test.frames.label(index)
        check_frame(frame, manifest.frame_hw, test.frames.name(index))
        for contender in contenders:
            contender.truth.update(truth, contender.timed.segment(frame), len(manifest.classes))


def run_rounds(contenders: Sequence[Contender], frames: Sequence[Frame], num_rounds: int) -> int:
    """Time all rounds, the first contender being the reference; return on how many frames labels were compared."""
    rng = np.random.default_rng(SEED)
    for number in progress(range(num_rounds), title="latency", unit="round"):
        frame = frames[number % len(frames)]
        labels = {}
        for position in rng.permutation(len(contenders)).tolist():
            found, taken_ns = contenders[position].timed.query(frame)
            contenders[position].timed.samples_ns.append(taken_ns)
            labels[position] = found.copy()
        if number < len(frames):
            for position, contender in enumerate(contenders):
                contender.num_equal += int(np.count_nonzero(labels[position] == labels[0]))
                contender.num_pixels += labels[0].size
    return min(num_rounds, len(frames))
