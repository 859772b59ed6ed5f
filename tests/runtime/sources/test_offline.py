import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import DataError, FrameError, MissingPackageError
from runtime.images import write_png
from runtime.sources.offline import Frames, open_frames

Frame = NDArray[np.uint8]
HW = (16, 24)


def open_small(path: Path) -> Frames:
    return open_frames(path, HW)


def plain(red: int, green: int, blue: int, hw: tuple[int, int] = HW) -> Frame:
    return np.full((*hw, 3), (red, green, blue), dtype=np.uint8)


def write_video(path: Path, frames: list[Frame]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_image_is_one_frame_named_by_its_file(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)
    write_png(tmp_path / "street.png", frame)
    source = open_small(tmp_path / "street.png")
    [(name, read)] = source
    assert (name, source.num_frames, source.video_rate) == ("street", 1, None)
    np.testing.assert_array_equal(read, frame)


def test_folder_is_read_in_order_and_names_keep_subfolders_apart(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "night").mkdir()
    write_png(tmp_path / "night" / "0.png", plain(0, 0, 1))
    write_png(tmp_path / "day" / "1.png", plain(0, 1, 0))
    write_png(tmp_path / "day" / "0.png", plain(1, 0, 0))
    source = open_small(tmp_path)
    assert [(name, frame.argmax(axis=-1).max()) for name, frame in source] == [
        ("day_0", 0),
        ("day_1", 1),
        ("night_0", 2),
    ]
    assert source.num_frames == 3


def test_source_can_be_read_twice(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", plain(1, 0, 0))
    source = open_small(tmp_path)
    assert [name for name, _ in source] == [name for name, _ in source] == ["0"]


def test_files_that_would_share_a_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_png(tmp_path / "a" / "b.png", plain(0, 0, 0))
    write_png(tmp_path / "a_b.png", plain(0, 0, 0))
    with pytest.raises(DataError, match=r"b\.png and .*a_b\.png would both be filed under 'a_b'"):
        open_small(tmp_path)


def test_video_gives_its_frames_and_rate(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    write_video(path, [plain(200, 0, 0), plain(0, 200, 0), plain(0, 0, 200)])
    source = open_small(path)
    assert (source.num_frames, source.video_rate) == (3, Fraction(5))
    names, frames = zip(*source, strict=True)
    assert names == ("drive_000000", "drive_000001", "drive_000002")
    for channel, frame in enumerate(frames):
        assert frame.shape == (*HW, 3)
        assert (frame.argmax(axis=-1) == channel).all()


def test_image_of_another_size_is_named(tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", plain(0, 0, 0, hw=(8, 8)))
    with pytest.raises(FrameError, match=r"small\.png has shape \(8, 8, 3\); expected .*\(16, 24, 3\)"):
        list(open_small(tmp_path / "small.png"))


def test_video_of_another_size_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "small.mp4", [plain(0, 0, 0, hw=(32, 32))])
    with pytest.raises(FrameError, match=r"small\.mp4 frame 0 has shape \(32, 32, 3\)"):
        list(open_small(tmp_path / "small.mp4"))


def test_truncated_png_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)
    write_png(tmp_path / "cut.png", noise)
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(FrameError, match=r"cut\.png cannot be read"):
        list(open_small(tmp_path))


def test_truncated_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write_video(path, [plain(200, 0, 0)] * 3)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"video .*cut\.mp4 cannot be read"):
        open_small(path)


def test_sound_without_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match=r"sound\.mp4 has no picture"):
        open_small(path)


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        container.start_encoding()
    with pytest.raises(DataError, match=r"empty\.avi holds no frame that can be decoded"):
        list(open_small(path))


def test_video_without_frame_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "still.mkv"
    write_video(path, [plain(200, 0, 0)])
    content = bytearray(path.read_bytes())
    # Matroska: turn DefaultDuration (id 23E383, size 4) into Void (id EC, size 6) of the same eight bytes.
    start = content.index(b"\x23\xe3\x83\x84")
    content[start : start + 2] = b"\xec\x86"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"still\.mkv does not say its frame rate"):
        open_small(path)


def test_missing_pyav_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drive.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'iapc\[video\]'"):
        open_small(tmp_path / "drive.mp4")


def test_missing_input_and_unknown_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_small(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt is no known image or video; expected .*\.png.*\.mp4"):
        open_small(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image"):
        open_small(tmp_path / "empty")
