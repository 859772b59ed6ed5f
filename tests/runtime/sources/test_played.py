from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.images import write_png
from runtime.sources.image_files import ImageFiles
from runtime.sources.played import Played
from runtime.sources.video_file import VideoFile

Frame = NDArray[np.uint8]
HW = (16, 24)
PERIOD_NS = 100_000_000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def into() -> Frame:
    return np.zeros((*HW, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images; the red of each is its number."""
    for index in range(6):
        write_png(tmp_path / f"{index}.png", np.full((*HW, 3), (index, 0, 0), np.uint8))
    return tmp_path


def play(folder: Path, clock: Clock, *, is_repeated: bool = False) -> Played:
    return Played(ImageFiles.in_folder(folder, HW), 10.0, is_repeated=is_repeated, now_ns=clock)


def test_frames_count_as_captured_when_they_were_due(folder: Path, clock: Clock, into: Frame) -> None:
    source, start_ns = play(folder, clock), clock.now_ns
    for index in range(6):
        # Late by less than a period, each time by more.
        clock.now_ns = start_ns + index * (PERIOD_NS + 9_000_000)
        captured = source.read(into, 0.0)
        assert captured is not None
        assert (captured.frame_id, captured.name) == (index, str(index))
        assert captured.captured_ns == start_ns + index * PERIOD_NS
        assert (into[..., 0] == index).all()
    clock.now_ns += PERIOD_NS
    assert source.read(into, 0.0) is None
    assert source.is_finished


def test_frame_that_is_not_due_is_not_given(folder: Path, clock: Clock, into: Frame) -> None:
    source = play(folder, clock)
    assert source.read(into, 0.0) is not None
    assert source.read(into, 0.0) is None
    clock.now_ns += PERIOD_NS
    captured = source.read(into, 0.0)
    assert captured is not None
    assert captured.frame_id == 1


def test_read_waits_until_the_frame_is_due(folder: Path, into: Frame) -> None:
    source = Played(ImageFiles.in_folder(folder, HW), 50.0, is_repeated=False)
    first, second = source.read(into, 5.0), source.read(into, 5.0)
    assert first is not None
    assert second is not None
    assert second.captured_ns - first.captured_ns == 20_000_000


@pytest.mark.parametrize(("overdue_ns", "expected"), [(PERIOD_NS, 1), (PERIOD_NS + 1, 2), (3 * PERIOD_NS, 3)])
def test_frames_overdue_by_more_than_a_period_are_lost_with_their_numbers(
    folder: Path, clock: Clock, into: Frame, overdue_ns: int, expected: int
) -> None:
    source, start_ns = play(folder, clock), clock.now_ns
    source.read(into, 0.0)
    clock.now_ns = start_ns + PERIOD_NS + overdue_ns
    captured = source.read(into, 0.0)
    assert captured is not None
    assert captured.frame_id == expected
    assert captured.captured_ns == start_ns + expected * PERIOD_NS
    assert (into[..., 0] == expected).all()


def test_images_missed_at_the_end_end_the_source(folder: Path, clock: Clock, into: Frame) -> None:
    source = play(folder, clock)
    source.read(into, 0.0)
    clock.now_ns += 100 * PERIOD_NS
    assert source.read(into, 0.0) is None
    assert source.is_finished


def test_repeated_folder_begins_again_with_numbers_that_go_on(folder: Path, clock: Clock, into: Frame) -> None:
    source, names = play(folder, clock, is_repeated=True), []
    for index in range(8):
        captured = source.read(into, 0.0)
        assert captured is not None
        assert captured.frame_id == index
        names.append(captured.name)
        clock.now_ns += PERIOD_NS
    assert names == ["0", "1", "2", "3", "4", "5", "0", "1"]
    assert not source.is_finished


def test_damaged_image_is_named_and_the_next_one_comes(folder: Path, clock: Clock, into: Frame) -> None:
    (folder / "0.png").write_bytes(b"no image")
    write_png(folder / "1.png", np.zeros((8, 8, 3), np.uint8))
    source = play(folder, clock)
    with pytest.raises(FrameError, match=r"0\.png cannot be read"):
        source.read(into, 0.0)
    clock.now_ns += PERIOD_NS
    with pytest.raises(FrameError, match=r"1\.png has shape \(8, 8, 3\); expected .*\(16, 24, 3\)"):
        source.read(into, 0.0)
    clock.now_ns += PERIOD_NS
    captured = source.read(into, 0.0)
    assert captured is not None
    assert (captured.frame_id, captured.name) == (2, "2")


def test_closed_source_gives_nothing_more(folder: Path, clock: Clock, into: Frame) -> None:
    source = play(folder, clock)
    source.close()
    source.close()
    assert source.read(into, 60.0) is None


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twenty pictures of noise, each a key frame or built on one."""
    path, rng = tmp_path / "drive.mp4", np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"sc_threshold": "0"})
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        stream.codec_context.gop_size = 5
        for _ in range(20):
            picture = rng.integers(0, 256, (*HW, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_video_gives_the_pixels_that_pyav_decodes(video: Path, clock: Clock, into: Frame) -> None:
    source = Played(VideoFile(video, HW), 10.0, is_repeated=False, now_ns=clock)
    with av.open(str(video)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            captured = source.read(into, 0.0)
            assert captured is not None
            assert captured.name == f"drive_{index:06d}"
            np.testing.assert_array_equal(into, picture.to_ndarray(format="rgb24"))
            clock.now_ns += PERIOD_NS
    assert source.read(into, 0.0) is None
    assert source.is_finished
    source.close()


def test_slow_reader_of_a_video_loses_numbers_and_no_pictures(video: Path, clock: Clock, into: Frame) -> None:
    source = Played(VideoFile(video, HW), 10.0, is_repeated=False, now_ns=clock)
    source.read(into, 0.0)
    clock.now_ns += 7 * PERIOD_NS
    captured = source.read(into, 0.0)
    assert captured is not None
    assert (captured.frame_id, captured.name) == (6, "drive_000001")
    source.close()


def test_repeated_video_begins_again(video: Path, clock: Clock, into: Frame) -> None:
    source, names = Played(VideoFile(video, HW), 10.0, is_repeated=True, now_ns=clock), []
    for _ in range(21):
        captured = source.read(into, 0.0)
        assert captured is not None
        names.append(captured.name)
        clock.now_ns += PERIOD_NS
    assert names[-2:] == ["drive_000019", "drive_000000"]
    source.close()


def test_damaged_packet_is_told_and_the_video_goes_on(video: Path, clock: Clock, into: Frame) -> None:
    with av.open(str(video)) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    start, size = packets[10]
    content = bytearray(video.read_bytes())
    content[start + 5 : start + size] = b"\xff" * (size - 5)
    video.write_bytes(content)
    source = Played(VideoFile(video, HW), 10.0, is_repeated=False, now_ns=clock)
    good, bad = [], []
    while not source.is_finished:
        try:
            captured = source.read(into, 0.0)
        except FrameError as error:
            bad.append(str(error))
        else:
            good += [captured.frame_id] if captured else []
        clock.now_ns += PERIOD_NS
    assert bad
    assert all("drive.mp4 frame " in message for message in bad)
    # Pictures built on the damaged one may be missing too.
    assert len(good) >= 15
    assert good == [number for number in range(good[-1] + 1) if number in good]
    source.close()


def test_video_that_vanishes_while_it_is_repeated_is_a_lost_source(video: Path, clock: Clock, into: Frame) -> None:
    source = Played(VideoFile(video, HW), 10.0, is_repeated=True, now_ns=clock)
    for _ in range(20):
        source.read(into, 0.0)
        clock.now_ns += PERIOD_NS
    video.unlink()
    with pytest.raises(SourceError, match=r"drive\.mp4 cannot be read \(No such file"):
        source.read(into, 0.0)
    source.close()
