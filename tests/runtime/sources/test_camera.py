from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.pyav import Converter
from runtime.sources.camera import CameraSource, open_camera, v4l2_options
from runtime.sources.config import CameraConfig

Frame = NDArray[np.uint8]
HW = (16, 24)
OPENED_NS = 7_000_000_000_000
PERIOD_NS = 100_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = OPENED_NS

    def __call__(self) -> int:
        return self.now_ns


class Device:
    """A driver's queue behind a real MJPEG decoder: gives packets stamped by the kernel, and never waits.

    `queue` holds (time in microseconds, packet content) or an error to raise.
    """

    def __init__(self, file: Path) -> None:
        self._container = av.open(str(file), format="mjpeg")
        self.streams = self._container.streams
        self.contents = [bytes(packet) for packet in self._container.demux(video=0) if packet.size]
        self.queue: list[tuple[int, bytes] | av.FFmpegError] = []

    def demux(self, *, video: int) -> Iterator[Any]:
        assert video == 0
        if not self.queue:
            raise av.error.BlockingIOError(11, "Resource temporarily unavailable")
        item = self.queue.pop(0)
        if isinstance(item, av.FFmpegError):
            raise item
        packet = av.Packet(item[1])
        packet.pts, packet.time_base = item[0], Fraction(1, 1_000_000)
        yield packet

    def close(self) -> None:
        self._container.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def into() -> Frame:
    return np.zeros((*HW, 3), np.uint8)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Five pictures; the grey of each is forty times its number."""
    with av.open(str(tmp_path / "camera.mjpeg"), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = *HW, "yuvj420p"
        for index in range(5):
            picture = np.full((*HW, 3), 40 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    device = Device(tmp_path / "camera.mjpeg")
    yield device
    device.close()


def captured_us(index: int) -> int:
    return (OPENED_NS + index * PERIOD_NS) // 1000


@pytest.fixture
def camera(device: Device, clock: Clock) -> CameraSource:
    return CameraSource(device, "/dev/video0", OPENED_NS, 5.0, now_ns=clock)


def test_frame_is_captured_when_the_kernel_says(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    device.queue = [(captured_us(1), device.contents[1])]
    clock.now_ns += PERIOD_NS + 30_000_000
    captured = camera.read(into, 0.0)
    assert captured is not None
    assert captured.captured_ns == OPENED_NS + PERIOD_NS
    assert captured.name.startswith("dev_video0_20")
    np.testing.assert_allclose(into, 40, atol=10)


def test_newest_frame_of_those_the_driver_kept_is_given_and_the_others_are_lost(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    device.queue = [(captured_us(index), device.contents[index]) for index in range(4)]
    clock.now_ns += 4 * PERIOD_NS
    captured = camera.read(into, 0.0)
    assert captured is not None
    assert (captured.frame_id, captured.captured_ns) == (3, OPENED_NS + 3 * PERIOD_NS)
    np.testing.assert_allclose(into, 120, atol=10)


def test_kernel_times_of_another_clock_are_not_used(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    device.queue = [(1_700_000_000_000_000, device.contents[0])]
    clock.now_ns += PERIOD_NS
    captured = camera.read(into, 0.0)
    assert captured is not None
    assert captured.captured_ns == clock.now_ns


def test_frame_that_hung_in_the_driver_is_as_old_as_it_is(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    device.queue = [(captured_us(0), device.contents[0])]
    camera.read(into, 0.0)
    device.queue = [(captured_us(1), device.contents[1])]
    clock.now_ns += 3600 * 1_000_000_000
    captured = camera.read(into, 0.0)
    assert captured is not None
    assert captured.captured_ns == OPENED_NS + PERIOD_NS


def test_camera_without_a_new_frame_gives_none_in_time(device: Device, into: Frame) -> None:
    assert CameraSource(device, "/dev/video0", OPENED_NS, 5.0).read(into, 0.01) is None


def test_frame_that_the_driver_marked_damaged_is_refused_and_the_next_one_comes(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    clock.now_ns += 4 * PERIOD_NS
    device.queue = [(captured_us(0), b"")]
    with pytest.raises(FrameError, match=r"frame 0 of camera /dev/video0 is damaged"):
        camera.read(into, 0.0)
    device.queue = [(captured_us(1), b"no picture")]
    with pytest.raises(FrameError, match=r"frame 1 of camera /dev/video0 cannot be decoded"):
        camera.read(into, 0.0)
    device.queue = [(captured_us(2), device.contents[2])]
    captured = camera.read(into, 0.0)
    assert captured is not None
    assert captured.frame_id == 2


def test_unplugged_camera_is_a_lost_source(camera: CameraSource, device: Device, into: Frame) -> None:
    device.queue = [av.error.OSError(19, "No such device", "/dev/video0")]
    with pytest.raises(SourceError, match=r"camera /dev/video0 was lost \(No such device\); check its cable"):
        camera.read(into, 0.0)


def test_camera_that_falls_silent_is_a_lost_source(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    clock.now_ns += 4_900_000_000
    assert camera.read(into, 0.0) is None
    device.queue = [(captured_us(1), device.contents[1])]
    assert camera.read(into, 0.0) is not None
    clock.now_ns += 4_900_000_000
    assert camera.read(into, 0.0) is None
    clock.now_ns += PERIOD_NS
    with pytest.raises(SourceError, match=r"camera /dev/video0 was lost \(it gave no frame for 5 s\); check its cable"):
        camera.read(into, 0.0)


def test_camera_that_waited_for_its_reader_is_not_silent(
    camera: CameraSource, device: Device, clock: Clock, into: Frame
) -> None:
    device.queue = [(captured_us(1), device.contents[1])]
    clock.now_ns += 60_000_000_000
    assert camera.read(into, 0.0) is not None


def test_timeout_leaves_time_for_a_frame() -> None:
    CameraConfig(device="/dev/video0", rate_hz=0.1, timeout_s=30)
    with pytest.raises(
        ValueError, match=r"timeout_s=5 is over before a frame is due at rate_hz=0\.1; give it more than 10"
    ):
        CameraConfig(device="/dev/video0", rate_hz=0.1)


def test_closed_camera_gives_nothing_more(camera: CameraSource, device: Device, into: Frame) -> None:
    device.queue = [(captured_us(0), device.contents[0])]
    camera.close()
    camera.close()
    assert camera.read(into, 60.0) is None


def test_device_is_asked_for_the_bundles_size_and_the_kernels_clock() -> None:
    config = CameraConfig(device="/dev/video0", rate_hz=12.5, pixel_format="yuyv422")
    assert v4l2_options(config, (512, 1024)) == {
        "input_format": "yuyv422",
        "video_size": "1024x512",
        "framerate": "12.5",
        "timestamps": "default",
        "fflags": "+4",
    }


def test_numbered_flag_is_the_one_that_opens_without_blocking() -> None:
    with av.open("testsrc=size=24x16", format="lavfi", options={"fflags": "+4"}) as container:
        assert container.flags & 4


@pytest.mark.parametrize(
    ("device", "reason"), [("/dev/video99", "No such file or directory"), ("/dev/null", "Inappropriate ioctl")]
)
def test_device_that_is_missing_or_no_camera_is_named(device: str, reason: str) -> None:
    with pytest.raises(SourceError, match=rf"camera {device} cannot be opened \({reason}.*mjpeg of 24x16"):
        open_camera(CameraConfig(device=device), HW)


def test_any_pixel_format_becomes_the_rgb_that_pyav_gives(into: Frame) -> None:
    converter = Converter()
    for pixel_format in ("yuyv422", "nv12", "yuvj420p", "gray", "rgb24"):
        with av.open(f"testsrc=size=24x16,format={pixel_format}", format="lavfi") as container:
            picture = next(container.decode(video=0))
        converter.convert(picture, into, "picture")
        np.testing.assert_array_equal(into, picture.to_ndarray(format="rgb24"))
