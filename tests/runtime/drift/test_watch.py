import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.bundle.known import KnownBundles
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of, read_manifest
from runtime.drift.config import DriftConfig
from runtime.drift.features import describe, features_of
from runtime.drift.reference import Reference, reference_of
from runtime.drift.watch import DriftWatch
from runtime.errors import SinkError
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import OK, Reason
from runtime.result import Captured, Counters, Result, Stages, Status

FRAME_HW = (16, 24)
SECOND_NS = 1_000_000_000
MakeBundle = Callable[..., Path]


class Drive:
    """A watch, and results of a day or a night, ten a second."""

    def __init__(self, manifest: Manifest, config: DriftConfig) -> None:
        self.manifest, self.now_ns = manifest, 0
        self.monitor = Monitor(HealthConfig(), lambda: self.now_ns)
        self.monitor.clear(Reason.STARTING)
        self.known = KnownBundles(manifest)
        self.watch = DriftWatch(config, self.known, self.monitor)
        self._rng = np.random.default_rng(1)

    def on(self, seconds: float, *, light: int, bundle: Manifest | None = None) -> None:
        for _ in range(int(seconds * 10)):
            frame = frame_of(self._rng, light)
            self.now_ns += SECOND_NS // 10
            self.watch.write(result_of(frame, self.now_ns, bundle_id_of(bundle or self.manifest)))

    @property
    def drifted(self) -> str:
        self.monitor.frame_captured()
        health = self.monitor.health()
        assert health.reasons in (Reason.NONE, Reason.DRIFTED)
        return " ".join(health.details)


def frame_of(rng: np.random.Generator, light: int) -> NDArray[np.uint8]:
    return rng.integers(light, light + 60, (*FRAME_HW, 3), dtype=np.uint8)


def outputs_of(frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return frame.argmax(axis=-1).astype(np.uint8), np.full(FRAME_HW, 200, np.uint8)


def result_of(frame: NDArray[np.uint8], captured_ns: int, bundle_id: str) -> Result:
    labels, confidence = outputs_of(frame)
    stages = Stages(0, 0, 0, 0, 0)
    captured = Captured(captured_ns, captured_ns, "frame")
    return Result(captured, frame, labels, confidence, captured_ns, 1, stages, OK, Counters(), 0.0, bundle_id)


@pytest.fixture
def day() -> Reference:
    rng = np.random.default_rng(0)
    frames = [frame_of(rng, 120) for _ in range(100)]
    keys = [feature.key for feature in describe(("road", "sky", "car"))]
    return reference_of(np.stack([features_of(frame, *outputs_of(frame), 3) for frame in frames]), keys)


@pytest.fixture
def drive(make_bundle: MakeBundle, day: Reference) -> Drive:
    return Drive(read_manifest(make_bundle(reference=day)), DriftConfig(every_s=0.5, independent_after_s=0.5))


def test_night_is_told_with_its_figures_and_over_when_day_is_back(drive: Drive) -> None:
    drive.on(50, light=120)
    assert drive.drifted == ""
    drive.on(20, light=10)
    assert "the world has left the reference: " in drive.drifted
    assert re.search(r"darker \(mean luminance [45]\d against 149 \+- 1\)", drive.drifted)
    assert drive.watch.evidence == 1
    drive.on(40, light=120)
    assert drive.drifted == ""
    assert drive.watch.evidence < 1


def test_frames_between_two_looks_are_not_looked_at(drive: Drive) -> None:
    """Ten results a second, two looks a second: as many looks as at two results a second."""
    drive.on(1.1, light=10)
    evidence = drive.watch.evidence
    assert 0 < evidence < 1
    drive.on(0.4, light=10)
    assert drive.watch.evidence == evidence
    drive.on(0.2, light=10)
    assert drive.watch.evidence > evidence


def test_sentence_stays_while_nothing_else_leaves(drive: Drive) -> None:
    drive.on(100, light=10)
    before = drive.monitor.health()
    drive.on(20, light=10)
    assert drive.monitor.health() is before


def test_another_bundle_is_judged_by_its_own_reference(drive: Drive) -> None:
    rng = np.random.default_rng(5)
    frames = [frame_of(rng, 10) for _ in range(100)]
    rows = np.stack([features_of(frame, *outputs_of(frame), 3) for frame in frames])
    night = drive.manifest.model_copy(update={"reference": reference_of(rows, list(drive.manifest.reference.features))})
    drive.on(20, light=10)
    assert "darker" in drive.drifted
    drive.known.know(night)
    drive.on(20, light=10, bundle=night)
    assert drive.drifted == ""
    drive.on(20, light=120, bundle=night)
    assert "brighter" in drive.drifted


def test_alarm_outlasts_a_swap_to_a_bundle_of_the_same_reference(drive: Drive) -> None:
    again = drive.manifest.model_copy(update={"provenance": {"note": "exported once more"}})
    drive.known.know(again)
    drive.on(20, light=10)
    before = drive.monitor.health()
    drive.on(0.6, light=10, bundle=again)
    assert drive.monitor.health() is before


def test_result_of_an_unknown_bundle_is_refused_with_what_to_do(drive: Drive) -> None:
    result = result_of(np.zeros((*FRAME_HW, 3), np.uint8), 0, "f" * 64)
    with pytest.raises(SinkError, match=r"results come from bundle f{12}, .* call KnownBundles\.know"):
        drive.watch.write(result)


def test_news_of_the_loop_changes_nothing(drive: Drive) -> None:
    drive.watch.tell(Status(now_ns=0, health=OK))
    drive.watch.close()
    assert drive.drifted == ""
