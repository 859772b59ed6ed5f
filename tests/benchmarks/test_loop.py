"""What the runtime adds to its engine: the camera that measures it, and both commands on a small bundle."""

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.config import BenchmarksConfig
from benchmarks.loop import measure, soak
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.loop.document import LoopDocument, SoakDocument
from benchmarks.loop.measure import measure_loop
from benchmarks.loop.paced import PacedFrames
from benchmarks.loop.recorder import STAGES
from benchmarks.loop.run import run_loop
from benchmarks.loop.soak import measure_soak
from runtime.errors import GateError
from runtime.images import read_image
from runtime.result import Captured, Counters
from tests.benchmarks.command_run import Exported
from training.data.config import StreetsConfig

PERIOD_NS = 2_000_000


@pytest.fixture
def frames() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [np.full((2, 3, 3), value, dtype=np.uint8) for value in range(4)]


@pytest.fixture
def run(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> Callable[..., BenchmarksConfig]:
    def make(**values: Any) -> BenchmarksConfig:
        return BenchmarksConfig(
            bundle=exported.bundle,
            checkpoint=exported.checkpoint,
            frames=street_frames,
            output=tmp_path / "output",
            loop=LoopBenchmarkConfig(**values),
        )

    return make


def read_all(source: PacedFrames, pause_s: float = 0.0) -> list[Captured]:
    into = np.zeros((2, 3, 3), dtype=np.uint8)
    found = []
    while not source.is_finished:
        captured = source.read(into, timeout_s=1.0)
        assert captured is not None
        assert into[0, 0, 0] == captured.frame_id % 4
        assert captured.captured_ns <= time.monotonic_ns()
        found.append(captured)
        time.sleep(pause_s)
    return found


def test_each_frame_is_captured_when_it_was_due(frames: list[Any]) -> None:
    found = read_all(PacedFrames(frames, PERIOD_NS, num_frames=20))
    first = found[0]
    assert (first.frame_id, found[-1].frame_id) == (0, 19)
    for captured in found:
        assert captured.captured_ns - first.captured_ns == captured.frame_id * PERIOD_NS


def test_late_reader_loses_frames_and_gets_the_newest_that_is_due(frames: list[Any]) -> None:
    ids = [captured.frame_id for captured in read_all(PacedFrames(frames, PERIOD_NS, num_frames=40), pause_s=0.011)]
    assert ids[0] == 0
    assert ids[-1] == 39
    assert all(after - before >= 5 for before, after in pairwise(ids[:-1]))


def test_loop_writes_what_it_tells(
    run: Callable[..., BenchmarksConfig], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run(num_rounds=2, round_frames=8, memory_frames=1000, num_starts=1)
    monkeypatch.setattr(measure, "measure_memory", short_memory)
    figures = measure_loop(config)
    document = LoopDocument.model_validate_json(Path(figures["loop"]).read_text())
    overhead = document.overhead
    assert tuple(overhead.stages_ms) == STAGES
    assert overhead.engine_ms["p50"] is not None
    assert overhead.engine_ms["p99"] is None
    assert figures["overhead_share"] == round(overhead.overhead_share, 4)
    assert document.start.ready_ms == pytest.approx(sum(document.start.stages_ms.values()))
    assert "frame in memory -> labels in a sink" in capsys.readouterr().err


def short_memory(*arguments: Any) -> None:
    """A thousand frames take a minute."""


def test_soak_counts_every_frame_and_draws_it(run: Callable[..., BenchmarksConfig]) -> None:
    figures = measure_soak(run(soak_minutes=0.02, soak_load=2.0))
    document = SoakDocument.model_validate_json(Path(figures["soak"]).read_text())
    counters = Counters(**document.counters)
    assert document.is_exact
    assert counters.num_dropped > 0
    assert counters.num_published == sum(minute.num_results for minute in document.minutes)
    assert document.num_frames == counters.num_captured + counters.num_lost
    assert read_image(Path(figures["picture"])).shape[2] == 3


def test_soak_that_lost_count_has_no_score(
    run: Callable[..., BenchmarksConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def miscount(*arguments: Any, **options: Any) -> Counters:
        counters = real(*arguments, **options)
        return Counters(**{**{name: getattr(counters, name) for name in Counters.__slots__}, "num_dropped": -1})

    real = run_loop
    monkeypatch.setattr(soak, "run_loop", miscount)
    config = run(soak_minutes=0.01)
    with pytest.raises(GateError, match="frames were taken, the loop counted"):
        measure_soak(config)
    assert json.loads((config.output / "soak.json").read_text())["is_exact"] is False
