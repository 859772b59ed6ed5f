import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.result import Captured
from runtime.sources.callback import CallbackSource
from runtime.sources.push import PushSource

Frame = NDArray[np.uint8]
HW = (16, 24)


def plain(grey: int, hw: tuple[int, int] = HW) -> Frame:
    return np.full((*hw, 3), grey, np.uint8)


@pytest.fixture
def into() -> Frame:
    return np.zeros((*HW, 3), np.uint8)


def test_function_gives_frames_with_or_without_their_time(into: Frame) -> None:
    given = iter([plain(1), None, (plain(2), 77)])
    source = CallbackSource(lambda _timeout_s: next(given), name="front", now_ns=lambda: 99)
    first = source.read(into, 0.0)
    assert first is not None
    assert (first.frame_id, first.captured_ns, into[0, 0, 0]) == (0, 99, 1)
    assert first.name.startswith("front_")
    assert source.read(into, 0.0) is None
    second = source.read(into, 0.0)
    assert second is not None
    assert (second.frame_id, second.captured_ns, into[0, 0, 0]) == (1, 77, 2)
    assert source.read(into, 0.0) is None
    assert source.is_finished


def test_function_is_told_how_long_it_may_wait(into: Frame) -> None:
    told: list[float] = []

    def give(timeout_s: float) -> Frame:
        told.append(timeout_s)
        return plain(0)

    CallbackSource(give).read(into, 0.25)
    assert told == [0.25]


def test_frame_of_another_size_is_refused_and_the_next_one_comes(into: Frame) -> None:
    given = iter([plain(0, (8, 8)), plain(3)])
    source = CallbackSource(lambda _timeout_s: next(given), name="front")
    with pytest.raises(FrameError, match=r"front 0 has shape \(8, 8, 3\)"):
        source.read(into, 0.0)
    assert source.read(into, 0.0) is not None


@pytest.mark.parametrize("error", [OSError("unplugged"), KeyError("unplugged")])
def test_what_the_function_raises_is_a_lost_source(into: Frame, error: Exception) -> None:
    def give(_timeout_s: float) -> Frame:
        raise error

    with pytest.raises(SourceError, match=rf"raised {type(error).__name__}: .*unplugged"):
        CallbackSource(give).read(into, 0.0)


def test_function_may_refuse_a_frame_itself(into: Frame) -> None:
    def give(_timeout_s: float) -> Frame:
        raise FrameError("too dark")

    with pytest.raises(FrameError, match="too dark"):
        CallbackSource(give).read(into, 0.0)


def test_newest_given_frame_is_read_and_those_before_it_are_lost_numbers(into: Frame) -> None:
    source = PushSource(HW)
    for grey in range(10):
        source.give(plain(grey), captured_ns=100 + grey)
    captured = source.read(into, 0.0)
    assert captured is not None
    assert (captured.frame_id, captured.captured_ns, into[0, 0, 0]) == (9, 109, 9)
    assert source.read(into, 0.0) is None


def test_given_frame_is_a_copy(into: Frame) -> None:
    source, frame = PushSource(HW), plain(5)
    source.give(frame)
    frame[:] = 6
    source.read(into, 0.0)
    assert (into == 5).all()


def test_numbers_of_the_cameras_driver_are_kept(into: Frame) -> None:
    source = PushSource(HW)
    ids = []
    for number in (41, None, 50):
        source.give(plain(0), frame_id=number)
        captured = source.read(into, 0.0)
        assert captured is not None
        ids.append(captured.frame_id)
    assert ids == [41, 42, 50]


def test_wrong_frame_is_told_to_whoever_reads(into: Frame) -> None:
    source = PushSource(HW, name="front")
    for _ in range(10):
        source.give(plain(0, (8, 8)))
        with pytest.raises(FrameError, match=r"front \d has shape \(8, 8, 3\)"):
            source.read(into, 0.0)
    source.give(plain(1))
    assert source.read(into, 0.0) is not None


def test_reader_waits_for_a_frame_of_another_thread(into: Frame) -> None:
    source = PushSource(HW)
    read: list[Captured | None] = []
    thread = threading.Thread(target=lambda: read.append(source.read(into, 30.0)))
    thread.start()
    source.give(plain(8))
    thread.join()
    assert read[0] is not None


def test_last_frame_is_read_before_the_source_is_finished(into: Frame) -> None:
    source = PushSource(HW)
    source.give(plain(0))
    source.finish()
    assert not source.is_finished
    assert source.read(into, 0.0) is not None
    assert source.is_finished
    assert source.read(into, 60.0) is None
