import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loop.run import is_exact, run_loop
from benchmarks.scenarios import camera as room
from benchmarks.scenarios.camera import CameraPlan, CameraSink, measure_camera
from benchmarks.scenarios.document import Camera
from runtime.errors import GateError
from runtime.result import Counters, Result
from runtime.segmenter import Segmenter

MakeSegmenter = Callable[..., Segmenter]
COUNT = st.integers(0, 1000)


def plan_of(rate_hz: float, num_frames: int, deadline_ms: float | None = None) -> CameraPlan:
    return CameraPlan("a camera", rate_hz, num_frames, deadline_ms)


def require_sums(found: Camera) -> None:
    counters = Counters(**found.counters)
    results = 0 if found.times is None else len(found.times.samples_ns)
    assert counters.num_captured + counters.num_lost == found.num_frames
    assert counters.num_published + counters.num_dropped + counters.num_withheld == counters.num_captured
    assert counters.num_published == results + found.num_unseen
    assert found.missed_share == pytest.approx(1 - (results - found.num_late) / found.num_frames)


def test_slow_network_drops_frames_and_none_is_uncounted(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    found = measure_camera(make_segmenter(0.02), frames, plan_of(200, 60), threads=1, warmup=1, seed=0)
    require_sums(found)
    assert found.is_exact
    assert found.counters["num_dropped"] + found.counters["num_lost"] > 30
    assert found.times is not None
    # A frame takes 20 ms where one comes every 5: all labels are late, and the frames without any are missed too.
    assert found.num_late == len(found.times.samples_ns)
    assert found.missed_share == 1.0
    assert min(found.times.samples_ns) >= 20_000_000
    assert list(found.frame_ids) == sorted(set(found.frame_ids))


def test_frames_within_a_generous_deadline_are_not_missed(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    plan = plan_of(10, 3, deadline_ms=1e6)
    found = measure_camera(make_segmenter(), frames, plan, threads=1, warmup=1, seed=0)
    require_sums(found)
    assert found.num_late == 0
    assert found.deadline_ms == 1e6
    assert found.checked is not None
    assert found.checked.label_agreement == 1.0


def test_ages_count_from_when_a_frame_was_due_through_a_sink_that_was_blocked(
    make_segmenter: MakeSegmenter, frames: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blocked(CameraSink):
        """Held up for 200 ms before its third result."""

        def write(self, result: Result) -> None:
            if len(self.frame_ids) == 2:
                time.sleep(0.2)
            super().write(result)

    monkeypatch.setattr(room, "CameraSink", Blocked)
    plan = plan_of(100, 40)
    found = measure_camera(make_segmenter(), frames, plan, threads=1, warmup=1, seed=0)
    require_sums(found)
    assert found.times is not None
    assert found.times.samples_ns[2] >= 200_000_000
    assert found.num_late >= 1
    # Results that came while it was held up were overtaken; they are missed, and counted.
    assert found.num_unseen > 0


def test_ages_count_from_when_a_frame_was_due_through_a_reader_that_was_late(
    make_segmenter: MakeSegmenter, frames: list[Any]
) -> None:
    class Late(list[Any]):
        """The third frame of the rotation takes 30 ms to read."""

        def __getitem__(self, place: Any) -> Any:
            time.sleep(0.03 if place == 2 else 0.0)
            return super().__getitem__(place)

    found = measure_camera(make_segmenter(), Late(frames), plan_of(100, 13), threads=1, warmup=1, seed=0)
    require_sums(found)
    assert found.times is not None
    ages_ns = dict(zip(found.frame_ids, found.times.samples_ns, strict=True))
    late = [number for number in ages_ns if number % len(frames) == 2]
    assert late
    assert all(ages_ns[number] >= 30_000_000 for number in late)
    # The camera went on meanwhile.
    assert found.counters["num_lost"] > 0


def test_stages_of_a_result_add_up_to_its_age(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    sink: list[CameraSink] = []

    class Kept(CameraSink):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            sink.append(self)

        def write(self, result: Result) -> None:
            before_ns = time.monotonic_ns()
            super().write(result)
            ages.append((before_ns - result.captured.captured_ns, time.monotonic_ns() - result.captured.captured_ns))

    ages: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "CameraSink", Kept)
        found = measure_camera(make_segmenter(0.001), frames, plan_of(100, 10), threads=1, warmup=1, seed=0)
    assert found.times is not None
    for stages, age_ns, (low, high) in zip(sink[0].stages_ns, found.times.samples_ns, ages, strict=True):
        assert stages.sum() == age_ns
        assert low <= age_ns <= high


def test_labels_that_change_have_no_score(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    segmenter = make_segmenter(changes_at=1 + len(frames))
    with pytest.raises(GateError, match="a camera: labels changed while the time was taken"):
        measure_camera(segmenter, frames, plan_of(100, 30), threads=1, warmup=1, seed=0)


def test_counters_that_do_not_add_up_have_no_score(
    make_segmenter: MakeSegmenter, frames: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def miscount(*arguments: Any, **options: Any) -> Counters:
        counters = run_loop(*arguments, **options)
        return replace(counters, num_dropped=counters.num_dropped + 1)

    monkeypatch.setattr(room, "run_loop", miscount)
    with pytest.raises(GateError, match=r"the camera took 5 frames .* which the counters of the loop do not add up to"):
        measure_camera(make_segmenter(), frames, plan_of(100, 5), threads=1, warmup=1, seed=0)


@given(COUNT, COUNT, COUNT, COUNT, st.integers(-3, 3))
def test_counters_are_exact_where_every_frame_came_to_one_end(
    published: int, dropped: int, withheld: int, lost: int, wrong: int
) -> None:
    captured = published + dropped + withheld
    counters = Counters(
        num_captured=captured, num_published=published, num_dropped=dropped, num_withheld=withheld, num_lost=lost
    )
    assert is_exact(counters, captured + lost + wrong) == (wrong == 0)
    assert is_exact(replace(counters, num_dropped=dropped + wrong), captured + lost) == (wrong == 0)


def test_period_and_deadline_are_whole_nanoseconds() -> None:
    assert plan_of(30, 1).period_ns == 33_333_333
    assert plan_of(30, 1).deadline_ns == 33_333_333
    assert plan_of(30, 1, deadline_ms=12.5).deadline_ns == 12_500_000
    assert np.all([plan_of(rate, 1).period_ns == 10**9 // rate for rate in (10, 20)])
