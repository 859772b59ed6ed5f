"""Settings that take turns in one run: their time, their labels beside PyTorch's, and what they cost the cores."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import Frame, Segment, Timed, open_pytorch, warm_up
from benchmarks.document import Ratio
from benchmarks.rungs import promise_of, recorded_engine
from benchmarks.samples import percentiles_ms
from benchmarks.tune.cpu_time import cpu_ms_per_frame
from benchmarks.tune.setting import Setting
from benchmarks.turns import Contender, run_rounds
from runtime.bundle.manifest import Manifest
from runtime.command import progress
from runtime.errors import BackendError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["Open", "Trial", "Trials", "opener_of", "pytorch_labels", "take_turns"]

Open = Callable[[Setting, ExitStack], Segment]
"""Opens a setting until the stack closes; a BackendError says why it does not run."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a setting did in a run; `refusal` says why it has no score: it did not open, or gave other labels."""

    setting: Setting
    contender: Contender | None
    refusal: str | None = None
    cpu_ms: float | None = None

    @property
    def scored(self) -> Contender | None:
        """What was measured; None where it does not count."""
        return self.contender if self.refusal is None else None

    @property
    def median_ms(self) -> float | None:
        """Median time of a frame; None without a score."""
        return self.percentile_ms("p50")

    def percentile_ms(self, name: str) -> float | None:
        """A percentile; None without a score, or where there are too few samples for it."""
        scored = self.scored
        return None if scored is None else percentiles_ms(np.array(scored.timed.samples_ns))[name]

    def ratio_to(self, baseline: "Trial | None") -> Ratio | None:
        """How many times as fast as the baseline, in the same run; None where one of both has no score."""
        scored = self.scored
        return None if scored is None or baseline is None else scored.ratio_to(baseline.scored)


Trials = Sequence[Trial]
"""Those of one run."""


def opener_of(bundle: Path) -> Open:
    """Opens settings as the runtime does: verified, warmed up and proven on the golden frames."""

    def open_setting(setting: Setting, stack: ExitStack) -> Segment:
        config = RuntimeConfig(backend=setting.backend, artefact=setting.artefact.file)
        segmenter = stack.enter_context(Segmenter.open(bundle, config))
        return lambda frame: segmenter.segment(frame).labels

    return open_setting


def pytorch_labels(config: BenchmarksConfig, manifest: Manifest, frames: Sequence[Frame]) -> list[Frame]:
    """The labels of PyTorch eager in float32 for each frame.

    Raises:
        CheckpointError: the network file cannot be used.
    """
    segment = open_pytorch(config, manifest).segment
    return [segment(frame).copy() for frame in progress(frames, title="PyTorch", unit="frame")]


def take_turns(
    settings: Sequence[Setting],
    open_setting: Open,
    frames: Sequence[Frame],
    labels: Sequence[Frame],
    config: BenchmarksConfig,
) -> list[Trial]:
    """Time settings side by side.

    Args:
        settings: who takes part.
        open_setting: opens one.
        frames: shown in rotation.
        labels: PyTorch's, of each frame.
        config: how many rounds, after how many frames of warm-up.

    Returns:
        A trial for each setting, in their order.
    """
    with ExitStack() as stack:
        opened = [_opened(setting, open_setting, stack) for setting in progress(settings, title="load", unit="setting")]
        running = [entry for entry in opened if isinstance(entry, Contender)]
        if running:
            warm_up([contender.timed for contender in running], frames, config.warmup)
            run_rounds([_replayed(frames, labels), *running], frames, config.num_rounds)
        return [
            Trial(setting, None, refusal=entry)
            if isinstance(entry, str)
            else Trial(
                setting,
                entry,
                _broken_promise(setting, entry),
                cpu_ms_per_frame(entry.timed, frames, config.num_rounds),
            )
            for setting, entry in zip(settings, progress(opened, title="CPU time", unit="setting"), strict=True)
        ]


def _opened(setting: Setting, open_setting: Open, stack: ExitStack) -> Contender | str:
    start_ns = time.perf_counter_ns()
    try:
        segment = open_setting(setting, stack)
    except BackendError as error:
        return str(error)
    return Contender(Timed(setting.name, segment, time.perf_counter_ns() - start_ns))


def _replayed(frames: Sequence[Frame], labels: Sequence[Frame]) -> Contender:
    """PyTorch's labels as they were found before: to run it again in every round would take most of the time."""
    found = {id(frame): known for frame, known in zip(frames, labels, strict=True)}
    return Contender(Timed("PyTorch's labels", lambda frame: found[id(frame)], 0))


def _broken_promise(setting: Setting, contender: Contender) -> str | None:
    recorded_as = recorded_engine(setting.artefact, setting.backend)
    return promise_of(setting.artefact, recorded_as, setting.backend).broken_by(contender.agreement)
