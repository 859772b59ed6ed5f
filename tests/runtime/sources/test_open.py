from pathlib import Path

import av
import numpy as np
import pytest

from runtime.config import validated
from runtime.errors import ConfigError, SourceError
from runtime.images import write_png
from runtime.sources.config import CameraConfig, FolderConfig, VideoConfig
from runtime.sources.open import open_source

HW = (16, 24)


def test_folder_is_played_at_its_rate(tmp_path: Path) -> None:
    for index in range(2):
        write_png(tmp_path / f"{index}.png", np.full((*HW, 3), index, np.uint8))
    source = open_source(FolderConfig(path=tmp_path, rate_hz=200.0), HW)
    into = np.zeros((*HW, 3), np.uint8)
    first, second = source.read(into, 5.0), source.read(into, 5.0)
    source.close()
    assert first is not None
    assert second is not None
    assert second.captured_ns - first.captured_ns == 5_000_000


@pytest.mark.parametrize(("rate_hz", "period_ns"), [(None, 40_000_000), (100.0, 10_000_000)])
def test_video_is_played_at_its_own_rate_unless_told_otherwise(
    tmp_path: Path, rate_hz: float | None, period_ns: int
) -> None:
    path = tmp_path / "drive.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *HW, "yuv420p"
        for _ in range(2):
            picture = np.zeros((*HW, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    source = open_source(VideoConfig(path=str(path), rate_hz=rate_hz), HW)
    into = np.zeros((*HW, 3), np.uint8)
    first, second = source.read(into, 5.0), source.read(into, 5.0)
    source.close()
    assert first is not None
    assert second is not None
    assert second.captured_ns - first.captured_ns == period_ns


def test_what_cannot_be_opened_is_a_lost_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere does not exist"):
        open_source(FolderConfig(path=tmp_path / "nowhere"), HW)
    with pytest.raises(SourceError, match=r"nowhere\.mp4 does not exist"):
        open_source(VideoConfig(path=str(tmp_path / "nowhere.mp4")), HW)
    with pytest.raises(SourceError, match=r"camera /dev/video99 cannot be opened"):
        open_source(CameraConfig(device="/dev/video99"), HW)
    with pytest.raises(SourceError, match=r"stream tcp://127.0.0.1:1 cannot be opened \(Connection refused\)"):
        open_source(VideoConfig(path="tcp://127.0.0.1:1"), HW)


def test_rate_of_a_stream_and_options_of_a_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="a stream comes as it comes"):
        validated(VideoConfig, {"path": "rtsp://camera/live", "rate_hz": 5.0}, place="test")
    with pytest.raises(ConfigError, match="options are for streams"):
        validated(VideoConfig, {"path": "drive.mp4", "options": {"a": "b"}}, place="test")
