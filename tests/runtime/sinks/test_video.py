from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import SinkError
from runtime.health.reasons import OK
from runtime.labels import ClassInfo
from runtime.overlay import overlay
from runtime.result import Result, Status
from runtime.sinks.video import VideoSink
from runtime.sinks.video_writer import VideoWriter

MakeResult = Callable[..., Result]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pictures_in(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [picture.to_ndarray(format="rgb24").astype(np.uint8) for picture in container.decode(video=0)]


def plain(grey: int, hw: tuple[int, int] = (16, 24)) -> NDArray[np.uint8]:
    return np.full((*hw, 3), grey, np.uint8)


def test_video_of_overlays_appears_whole_when_the_sink_is_closed(
    tmp_path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    path = tmp_path / "new" / "drive.mp4"
    sink = VideoSink(path, 12.5, classes, opacity=1.0)
    for frame_id in range(3):
        result = make_result(frame_id, hw=(64, 96))
        sink.write(result)
    sink.tell(Status(0, OK))
    assert not path.exists()
    sink.close()
    assert names_in(path.parent) == ["drive.mp4"]
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(25, 2)
    pictures = pictures_in(path)
    assert len(pictures) == 3
    expected = overlay(result.frame, result.labels, classes, 1.0)
    # Compression is lossy, and it averages colours in blocks of two by two pixels.
    for left, train_id in ((8, 0), (40, 1), (72, 2)):
        colour = expected[32, left + 8]
        assert tuple(colour) == classes[train_id].colour
        np.testing.assert_allclose(pictures[2][8:56, left : left + 16].mean(axis=(0, 1)), colour, atol=8)


def test_sink_that_saw_no_result_leaves_no_video(tmp_path: Path, classes: tuple[ClassInfo, ...]) -> None:
    VideoSink(tmp_path / "drive.mp4", 10.0, classes, opacity=1.0).close()
    assert names_in(tmp_path) == []


def test_odd_sides_are_padded(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.append(plain(0, (17, 25)))
    writer.close()
    assert pictures_in(tmp_path / "drive.mp4")[0].shape == (18, 26, 3)


def test_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.append(plain(0))
    with pytest.raises(SinkError, match=r"drive\.mp4 has pictures of \(16, 24\), got \(32, 24\)"):
        writer.append(plain(0, (32, 24)))
    writer.append(plain(0))
    writer.close()
    assert len(pictures_in(tmp_path / "drive.mp4")) == 2


def test_discarded_video_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.append(plain(0))
    writer.discard()
    assert names_in(tmp_path) == []


def test_power_cut_keeps_all_but_the_last_seconds(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    for grey in range(35):
        writer.append(plain(7 * grey))
    # What is on the disk now is what a power cut would leave.
    kept = pictures_in(tmp_path / "drive.part.mp4")
    assert 35 - 10 - 1 <= len(kept) <= 35
    writer.close()
    assert len(pictures_in(tmp_path / "drive.mp4")) == 35


def test_part_of_an_earlier_crash_is_kept_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "drive.part.mp4").write_bytes(b"earlier")
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.append(plain(0))
    writer.close()
    assert names_in(tmp_path) == ["drive.interrupted.mp4", "drive.mp4"]
    assert (tmp_path / "drive.interrupted.mp4").read_bytes() == b"earlier"


def test_no_start_of_the_service_costs_a_video_of_an_earlier_one(
    tmp_path: Path, classes: tuple[ClassInfo, ...], make_result: MakeResult
) -> None:
    for start in range(3):
        (tmp_path / "drive.part.mp4").write_bytes(b"crash %d" % start)
        sink = VideoSink(tmp_path / "drive.mp4", 10.0, classes, opacity=1.0)
        for frame_id in range(start + 1):
            sink.write(make_result(frame_id))
        sink.close()
    assert [len(pictures_in(tmp_path / name)) for name in ("drive.mp4", "drive.2.mp4", "drive.3.mp4")] == [1, 2, 3]
    crashes = [tmp_path / f"drive.interrupted{number}.mp4" for number in ("", ".2", ".3")]
    assert [path.read_bytes() for path in crashes] == [b"crash 0", b"crash 1", b"crash 2"]
    assert len(names_in(tmp_path)) == 6


def test_video_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.append(plain(0))
    with pytest.raises(SinkError, match=r"drive\.part\.mp4 is being written by another process"):
        VideoWriter(tmp_path / "drive.mp4", Fraction(5))
    writer.close()
    assert len(pictures_in(tmp_path / "drive.mp4")) == 1
    assert names_in(tmp_path) == ["drive.mp4"]
