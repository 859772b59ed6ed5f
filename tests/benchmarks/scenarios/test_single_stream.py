from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scenarios.config import ResumeConfig
from benchmarks.scenarios.labels import LabelCheck
from benchmarks.scenarios.resume import measure_resume
from benchmarks.scenarios.single_stream import measure_single_stream
from benchmarks.scenarios.times import ratio_of, times_of
from runtime.errors import GateError
from runtime.segmenter import Segmenter

MakeSegmenter = Callable[..., Segmenter]


def test_stages_of_every_frame_add_up_to_its_whole(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    found = measure_single_stream(make_segmenter(0.002), frames, num_queries=12, warmup=1, seed=0)
    stages = np.array([found.stages_ns[name] for name in ("copy", "infer", "return")])
    assert (stages.sum(axis=0) == found.times.samples_ns).all()
    assert (stages >= 0).all()
    # The network's sleep is in its own stage, and nowhere else.
    assert (stages[1] >= 2_000_000).all()
    assert found.duration_s == pytest.approx(sum(found.times.samples_ns) / 1e9)
    assert found.frames_per_s == pytest.approx(12 / found.duration_s)


def test_frames_are_shown_in_rotation_after_the_warm_up(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    segmenter = make_segmenter()
    shown: list[int] = []
    real = segmenter.segment

    def segment(frame: Any) -> Any:
        shown.append(next(place for place, one in enumerate(frames) if one is frame))
        return real(frame)

    segmenter.segment = segment  # type: ignore[method-assign]
    measure_single_stream(segmenter, frames, num_queries=7, warmup=3, seed=0)
    assert shown == [0, 1, 2, *range(5), 0, 1, 2, 3, 4, 0, 1]


def test_labels_that_change_under_measurement_have_no_score(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    # One call of warm-up and one for each frame, then three timed ones with the labels of before.
    segmenter = make_segmenter(changes_at=1 + len(frames) + 3)
    with pytest.raises(GateError, match=r"single_stream: labels changed .* a run with wrong labels has no score"):
        measure_single_stream(segmenter, frames, num_queries=20, warmup=1, seed=0)


def test_a_fifth_of_the_outputs_is_compared(make_segmenter: MakeSegmenter, frames: list[Any]) -> None:
    found = measure_single_stream(make_segmenter(), frames, num_queries=20, warmup=1, seed=0)
    assert found.checked.num_compared == 4
    assert found.checked.label_agreement == 1.0


@given(st.integers(1, 200), st.integers(0, 3))
def test_drawn_outputs_exist_and_are_never_none(num_outputs: int, seed: int) -> None:
    drawn = LabelCheck(lambda frame: frame, [], seed).drawn(num_outputs)
    assert len(drawn) == max(1, round(num_outputs / 5))
    assert min(drawn) >= 0
    assert max(drawn) < num_outputs
    assert drawn == LabelCheck(lambda frame: frame, [], seed).drawn(num_outputs)


def test_agreement_is_the_share_of_equal_pixels() -> None:
    frame = np.zeros((2, 5), dtype=np.uint8)
    check = LabelCheck(lambda shown: shown, [frame, frame + np.uint8(1)], 0)
    check.compare(2, frame)
    changed = frame + np.uint8(1)
    changed[0, :3] = 7
    check.compare(3, changed)
    assert check.result().label_agreement == pytest.approx(17 / 20)
    assert check.result().num_compared == 2


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=80))
def test_no_sample_is_left_out_and_the_worst_are_named(samples: list[int]) -> None:
    times = times_of(np.array(samples))
    assert times.samples_ns == tuple(samples)
    assert times.max_ms == max(samples) / 1e6
    assert [found.ms for found in times.worst] == [sample / 1e6 for sample in sorted(samples, reverse=True)[:10]]
    assert all(samples[found.index] / 1e6 == found.ms for found in times.worst)
    assert (times.percentiles_ms["p90"] is None) == (len(samples) < 64)


def test_ratio_is_of_the_first_over_the_second() -> None:
    ratio = ratio_of(np.array([300, 300, 310]), np.array([100, 100, 100]))
    assert [ratio.value, ratio.low] == [3.0, 3.0]
    assert ratio.high == pytest.approx(3.1)


def test_first_frames_after_pauses_stand_apart_from_frames_in_a_run(
    make_segmenter: MakeSegmenter, frames: list[Any]
) -> None:
    config = ResumeConfig(idle_s=0.001, num_pauses=3, run_queries=4)
    found = measure_resume(make_segmenter(), frames, config, warmup=1, seed=0)
    assert len(found.first.samples_ns) == 3
    assert len(found.running.samples_ns) == 12
    assert found.checked.num_compared == 3 * (1 + 1)
    assert found.slowdown.low <= found.slowdown.value <= found.slowdown.high
