"""What a new bundle must show before it may serve: the same frames and classes, and live frames beside the old one."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from threading import Event
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import Manifest
from runtime.errors import BundleError
from runtime.outputs import MIN_CHANGED, is_same, share_changed, why_not_finite
from runtime.segmenter import Segmentation, Segmenter
from runtime.swap.background import background
from runtime.swap.config import SwapConfig
from runtime.swap.handover import Handover
from runtime.swap.shadow import Shadow
from runtime.units import MILLISECOND_NS

__all__ = ["Figures", "require_same_outputs", "stand_trial"]

_START_ANEW = "stop the runtime and start it with another folder `swap.state`, or export the bundle to fit"


@dataclass(frozen=True, slots=True)
class Figures:
    """How a bundle did beside the served one; `agreement` is a share of all pixels, times are medians of a frame."""

    num_frames: int
    agreement: float
    served_ns: float
    candidate_ns: float

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"on {self.num_frames} live frames {self.agreement:.1%} of the labels agree, a frame takes "
            f"{self.candidate_ns / MILLISECOND_NS:.1f} ms instead of {self.served_ns / MILLISECOND_NS:.1f}"
        )


def require_same_outputs(served: Manifest, candidate: Manifest) -> None:
    """Refuse a bundle whose results would surprise those who read them.

    Raises:
        BundleError: the frame size or the classes differ.
    """
    served_hw, candidate_hw = (one.frame_hw for one in (served, candidate))
    if served_hw != candidate_hw:
        raise BundleError(
            f"it takes frames of {candidate_hw[1]}x{candidate_hw[0]}, and the bundle in service takes "
            f"{served_hw[1]}x{served_hw[0]}; sinks cannot change size in flight: {_START_ANEW}"
        )
    served_names, candidate_names = ([entry.name for entry in one.classes] for one in (served, candidate))
    if served_names != candidate_names:
        raise BundleError(
            f"its classes are {', '.join(candidate_names)}, and those in service {', '.join(served_names)}: the same "
            f"label would mean another thing; {_START_ANEW}"
        )


def stand_trial(
    open_candidate: Callable[[], Segmenter], handover: Handover, config: SwapConfig, stopping: Event
) -> tuple[Segmenter, Figures] | None:
    """Open a bundle beside the one in service, and run it on live frames.

    Opening gives way to the loop, which it would slow to half its speed. The live frames do not: engines keep the
    processors they have in service, or their times would say nothing.

    Returns:
        The bundle, ready to serve, and how it did; None where `stopping` was set first.

    Raises:
        IapcError: it was refused, in words; it is closed.
    """
    with ExitStack() as on_failure:
        with background():
            candidate = open_candidate()
        on_failure.callback(candidate.close)
        shadow = Shadow(candidate.manifest.frame_hw)
        handover.shadow = shadow
        try:
            figures = _shadow_run(candidate, shadow, config, stopping)
        finally:
            handover.shadow = None
        if figures is None:
            return None
        on_failure.pop_all()
        return candidate, figures


def _shadow_run(candidate: Segmenter, shadow: Shadow, config: SwapConfig, stopping: Event) -> Figures | None:
    """Segment live frames beside the served bundle; rests as long as it works, so that the loop keeps its processors.

    Returns:
        The figures, all within their bounds; None where `stopping` was set before there were enough frames.

    Raises:
        BundleError: the outputs are not finite, do not follow the frame, disagree, or take too long.
        BackendError: the engine failed.
    """
    check = _OutputCheck(len(candidate.manifest.classes))
    candidate_ns: list[int] = []
    agreements: list[float] = []
    while len(agreements) < config.num_shadow_frames:
        # Before as well as after, because whoever sets it wakes only what waits by then.
        if not stopping.is_set():
            shadow.borrow()
        if stopping.is_set():
            return None
        start_s = monotonic()
        segmentation = candidate.segment(shadow.frame)
        shadow.returned()
        candidate_ns.append(segmentation.latency_ns)
        check.require_usable(shadow, segmentation)
        agreements.append(float(np.mean(segmentation.labels == shadow.labels)))
        stopping.wait(monotonic() - start_s)
    served_ns = median(shadow.served_ns)
    figures = Figures(len(agreements), sum(agreements) / len(agreements), served_ns, median(candidate_ns))
    _require_within_bounds(figures, config)
    return figures


def _require_within_bounds(figures: Figures, config: SwapConfig) -> None:
    if figures.agreement < config.min_agreement:
        raise BundleError(f"{figures}; swap.min_agreement is {config.min_agreement:.1%}")
    if figures.candidate_ns > config.max_slowdown * figures.served_ns:
        raise BundleError(f"{figures}; swap.max_slowdown is {config.max_slowdown:g} times")


class _OutputCheck:
    """Finite and following the frame, by the same signs by which the loop tells."""

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._last: tuple[NDArray[np.uint8], ...] | None = None

    def require_usable(self, shadow: Shadow, segmentation: Segmentation) -> None:
        not_finite = why_not_finite(segmentation.confidence, self._num_classes)
        if not_finite is not None:
            raise BundleError(f"on a live frame {not_finite}; export it again")
        now = shadow.frame, segmentation.labels, segmentation.confidence
        last, self._last = self._last, tuple(array.copy() for array in now)
        if last is None or share_changed(now[0], last[0]) < MIN_CHANGED:
            return
        if is_same(now[1], last[1]) and is_same(now[2], last[2]):
            raise BundleError("two live frames that differ have the very same labels and confidence; export it again")
