"""A V4L2 camera through PyAV."""

from collections.abc import Callable, Mapping
from threading import Event, Lock
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.pyav import Converter, import_av, reason_of
from runtime.result import Captured
from runtime.sources.config import CameraConfig
from runtime.sources.names import frame_name
from runtime.units import MICROSECOND_NS, SECOND_NS

__all__ = ["CameraSource", "open_camera", "v4l2_options"]

# FFmpeg's AVFMT_FLAG_NONBLOCK, which has no name among its options: the device is opened so that reading never waits,
# and a camera that hangs can still be closed and opened again.
NON_BLOCKING = "+4"
POLL_S = 0.001
OPEN_TIMEOUT_S = 5.0


def open_camera(config: CameraConfig, frame_hw: tuple[int, int]) -> "CameraSource":
    """Open a device and set its frame size.

    Raises:
        SourceError: the device is missing, in use, no camera, or does not give this frame size.
    """
    av = import_av()
    opened_ns = monotonic_ns()
    options = v4l2_options(config, frame_hw)
    try:
        container = av.open(config.device, format="v4l2", options=options, timeout=OPEN_TIMEOUT_S)
    except av.FFmpegError as error:
        raise SourceError(
            f"camera {config.device} cannot be opened ({reason_of(error)}); check with `v4l2-ctl --list-devices` that "
            f"it is there and no other program uses it, and with --list-formats-ext that it has {config.pixel_format} "
            f"of {options['video_size']}"
        ) from error
    codec = container.streams.video[0].codec_context
    if not codec.codec.intra_only:
        container.close()
        raise SourceError(
            f"camera {config.device} gives {codec.name}; expected a pixel_format such as mjpeg or yuyv422, whose "
            "frames stand alone, so that old ones can be passed over"
        )
    if (codec.height, codec.width) != frame_hw:
        container.close()
        raise SourceError(
            f"camera {config.device} gives {codec.width}x{codec.height}; expected the bundle's "
            f"{options['video_size']}; choose another pixel_format, or export the bundle for a size that it has"
        )
    return CameraSource(container, config.device, opened_ns, config.timeout_s)


def v4l2_options(config: CameraConfig, frame_hw: tuple[int, int]) -> Mapping[str, str]:
    """What FFmpeg is asked of the device; times are the kernel's own, never translated to the wall clock."""
    height, width = frame_hw
    return {
        "input_format": config.pixel_format,
        "video_size": f"{width}x{height}",
        "framerate": f"{config.rate_hz:g}",
        "timestamps": "default",
        "fflags": NON_BLOCKING,
    }


class CameraSource:
    """The newest frame of an opened device; see `Source`.

    The driver keeps up to 32 frames for a slow reader, the oldest first: each `read` takes all that are there and gives
    the last one. Frames that the driver itself lost are not counted, because FFmpeg does not tell their numbers.

    The moment of capture is the kernel's, where it is of the monotonic clock, as it is in drivers of the last ten
    years; else it is the moment the frame was taken from the driver.

    Args:
        container: an opened `av.container.InputContainer` that does not block; closed with this source.
        device: what messages call it.
        opened_ns: before it was opened, on the monotonic clock.
        timeout_s: longest time without a frame. A device that was reset, or whose driver hangs, may say nothing for
            ever, and only opening it anew helps.
        now_ns: the monotonic clock.
    """

    is_finished = False

    def __init__(
        self,
        container: Any,
        device: str,
        opened_ns: int,
        timeout_s: float,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._av = import_av()
        self._container, self._device, self._opened_ns, self._now_ns = container, device, opened_ns, now_ns
        self._timeout_ns = round(timeout_s * SECOND_NS)
        # Opening a camera may itself take seconds.
        self._heard_ns = now_ns()
        self._codec = container.streams.video[0].codec_context
        self._converter = Converter()
        self._closing = Event()
        self._lock = Lock()
        self._num_packets = 0
        self._is_monotonic: bool | None = None

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait for a frame; see `Source.read`."""
        end_ns = self._now_ns() + round(timeout_s * SECOND_NS)
        while not self._closing.is_set():
            with self._lock:
                packet = None if self._closing.is_set() else self._newest()
                if packet is not None:
                    return self._decode(packet, into)
            now_ns = self._now_ns()
            if now_ns - self._heard_ns >= self._timeout_ns:
                raise self._lost(f"it gave no frame for {self._timeout_ns / SECOND_NS:g} s")
            if now_ns >= end_ns or self._closing.wait(POLL_S):
                break
        return None

    def close(self) -> None:
        """Give back the device; may be repeated."""
        self._closing.set()
        with self._lock:
            self._container.close()

    def _newest(self) -> Any:
        """The last packet that the driver has; None where it has none."""
        newest = None
        while (packet := self._next()) is not None:
            newest = packet
        return newest

    def _next(self) -> Any:
        try:
            packet = next(self._container.demux(video=0))
        except self._av.error.BlockingIOError:
            return None
        except self._av.FFmpegError as error:
            raise self._lost(reason_of(error)) from error
        if packet.pts is None:
            raise self._lost("its stream ended")
        self._num_packets += 1
        self._heard_ns = self._now_ns()
        # The packet lies in the driver's memory, which is gone when the device is closed: only a copy may be kept.
        copy = self._av.Packet(packet.size)
        copy.update(packet)
        copy.pts, copy.time_base = packet.pts, packet.time_base
        return copy

    def _lost(self, why: str) -> SourceError:
        return SourceError(f"camera {self._device} was lost ({why}); check its cable and power")

    def _decode(self, packet: Any, into: NDArray[np.uint8]) -> Captured:
        frame_id, now_ns = self._num_packets - 1, self._now_ns()
        name = f"frame {frame_id} of camera {self._device}"
        try:
            # The driver marks a damaged frame by giving nothing; to a decoder that would mean the end.
            pictures = self._codec.decode(packet) if packet.size else []
        except self._av.FFmpegError as error:
            raise FrameError(f"{name} cannot be decoded ({reason_of(error)}); check its cable") from error
        if not pictures or pictures[-1].is_corrupt:
            raise FrameError(f"{name} is damaged; check its cable, or ask for fewer frames a second")
        self._converter.convert(pictures[-1], into, name)
        captured_ns = self._captured_ns(packet, now_ns)
        return Captured(frame_id, captured_ns, frame_name(self._device, captured_ns, now_ns))

    def _captured_ns(self, packet: Any, now_ns: int) -> int:
        kernel_ns = int(packet.pts) * MICROSECOND_NS
        if self._is_monotonic is None:
            # Times of another clock do not lie between the moment of opening and now.
            self._is_monotonic = self._opened_ns <= kernel_ns <= now_ns
        return kernel_ns if self._is_monotonic else now_ns
