import subprocess
from collections.abc import Callable, Iterator
from time import monotonic_ns

import numpy as np
import pytest

from runtime.errors import SourceError
from runtime.result import Captured
from runtime.ring.layout import Kind
from runtime.ring.source import RingSource
from runtime.ring.writer import RingWriter
from runtime.sources.source import Source


def camera(name: str, frame_hw: tuple[int, int] = (4, 6)) -> RingWriter:
    return RingWriter.create(name, Kind.FRAMES, frame_hw, num_slots=2, deadline_ns=10**9)


def take(camera: RingWriter, frame_id: int) -> int:
    captured_ns = monotonic_ns()
    camera.write_frame(Captured(frame_id, captured_ns, ""), np.full((4, 6, 3), frame_id, dtype=np.uint8))
    return captured_ns


@pytest.fixture
def into() -> np.ndarray:
    return np.zeros((4, 6, 3), dtype=np.uint8)


@pytest.fixture
def first(name: str) -> Iterator[RingWriter]:
    with camera(name) as first:
        yield first


def test_each_frame_comes_once_with_its_number_and_time(name: str, first: RingWriter, into: np.ndarray) -> None:
    source: Source = RingSource(name, (4, 6))
    assert source.read(into, 0.0) is None
    captured_ns = take(first, 9)
    captured = source.read(into, 0.0)
    assert captured is not None
    assert (captured.frame_id, captured.captured_ns) == (9, captured_ns)
    assert captured.name.startswith(name)
    assert np.all(into == 9)
    assert source.read(into, 0.0) is None
    assert not source.is_finished
    source.close()


def test_gap_of_numbers_shows_what_was_overtaken(name: str, first: RingWriter, into: np.ndarray) -> None:
    source = RingSource(name, (4, 6))
    for frame_id in range(5):
        take(first, frame_id)
    captured = source.read(into, 0.0)
    assert captured is not None
    assert captured.frame_id == 4
    source.close()


def test_camera_that_ended_is_lost(name: str, first: RingWriter, into: np.ndarray) -> None:
    source = RingSource(name, (4, 6))
    first.close()
    with pytest.raises(SourceError, match="start its writer first"):
        source.read(into, 0.0)
    source.close()


def test_camera_that_came_back_is_taken_over(name: str, first: RingWriter, into: np.ndarray) -> None:
    source = RingSource(name, (4, 6))
    take(first, 200)
    assert source.read(into, 0.0) is not None
    first.close()
    with camera(name) as second:
        assert source.read(into, 0.0) is None
        take(second, 1)
        captured = source.read(into, 1.0)
        assert captured is not None
        assert captured.frame_id == 1
    source.close()


def test_camera_that_came_back_with_another_size_is_refused(name: str, first: RingWriter, into: np.ndarray) -> None:
    source = RingSource(name, (4, 6))
    first.close()
    with camera(name, (8, 2)), pytest.raises(SourceError, match="frames of 2x8, the bundle takes 6x4"):
        source.read(into, 0.0)
    source.close()


def test_ring_of_another_size_is_refused_with_both(name: str) -> None:
    with camera(name, (8, 2)), pytest.raises(SourceError, match="frames of 2x8, the bundle takes 6x4"):
        RingSource(name, (4, 6))


def test_ring_of_results_is_refused(name: str) -> None:
    with (
        RingWriter.create(name, Kind.RESULTS, (4, 6), num_slots=2, deadline_ns=1),
        pytest.raises(SourceError, match="holds results, expected frames"),
    ):
        RingSource(name, (4, 6))


def test_last_frame_of_a_dead_camera_is_not_given(name: str, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    process = start(DYING_CAMERA, name)
    assert process.wait(60) == -9
    with pytest.raises(SourceError, match="has no writer any more"):
        RingSource(name, (4, 6))


DYING_CAMERA = """
import os, signal, sys, time
import numpy as np
from runtime.result import Captured
from runtime.ring.layout import Kind
from runtime.ring.writer import RingWriter
writer = RingWriter.create(sys.argv[1], Kind.FRAMES, (4, 6), num_slots=2, deadline_ns=10**9)
writer.write_frame(Captured(0, time.monotonic_ns(), ""), np.zeros((4, 6, 3), np.uint8))
os.kill(os.getpid(), signal.SIGKILL)
"""
