"""A stream from the network, through PyAV: rtsp, http, udp and what else FFmpeg opens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.command import say
from runtime.errors import FrameError, SourceError
from runtime.loop.mailbox import Mailbox
from runtime.pyav import Converter, import_av, reason_of
from runtime.result import Captured
from runtime.sources.arrival import ArrivalClock
from runtime.sources.names import frame_name, without_password
from runtime.units import SECOND_NS

__all__ = ["StreamSource"]

# Five seconds of looking at a stream before it is opened help nobody who is driving (the unit is microseconds); RTSP
# over UDP loses packets where TCP repeats them.
OPTIONS = {"analyzeduration": "500000", "rtsp_transport": "tcp"}


@dataclass(frozen=True, slots=True)
class _Arrived:
    captured: Captured
    picture: Any
    problem: str | None = None


class StreamSource:
    """The newest picture of a stream; a thread of its own decodes, so that none waits in the network. See `Source`.

    Args:
        address: for example rtsp://camera/stream.
        options: FFmpeg's, by name; they replace ours.
        timeout_s: longest time without data, when it is opened and later.
        now_ns: the monotonic clock.

    Raises:
        SourceError: it cannot be opened, or holds no pictures.
    """

    is_finished = False

    def __init__(
        self, address: str, options: Mapping[str, str], timeout_s: float, now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._av = import_av()
        self._address, self._now_ns = without_password(address), now_ns
        try:
            self._container = self._av.open(address, options={**OPTIONS, **options}, timeout=timeout_s)
        except self._av.FFmpegError as error:
            raise SourceError(
                f"stream {self._address} cannot be opened ({reason_of(error)}) within {timeout_s:g} s; check that the "
                "camera is on and the address is right"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"stream {self._address} holds no pictures; give another address")
        self._converter = Converter()
        self._clock = ArrivalClock(lambda text: say(f"stream {self._address}: {text}"))
        self._newest: Mailbox[_Arrived] = Mailbox()
        self._closing = Event()
        self._num_pictures = 0
        self._lost = f"stream {self._address} ended"
        self._thread = Thread(target=self._receive, name=f"stream {self._address}", daemon=True)
        self._thread.start()

    def read(self, into: NDArray[np.uint8], timeout_s: float) -> Captured | None:
        """Wait for the newest picture; see `Source.read`."""
        arrived = self._newest.take(timeout_s)
        if arrived is None:
            if self._newest.is_exhausted and not self._closing.is_set():
                raise SourceError(self._lost)
            return None
        if arrived.problem is not None:
            raise FrameError(arrived.problem)
        self._converter.convert(arrived.picture, into, f"picture {arrived.captured.frame_id} of {self._address}")
        return arrived.captured

    def close(self) -> None:
        """End the thread, which may take the timeout of a dead stream; may be repeated."""
        self._closing.set()
        self._thread.join()

    def _receive(self) -> None:
        try:
            for packet in self._container.demux(video=0):
                if self._closing.is_set():
                    break
                self._decode(packet)
        except self._av.FFmpegError as error:
            self._lost = f"stream {self._address} was lost ({reason_of(error)}); check camera and network"
        finally:
            self._container.close()
            self._newest.close()

    def _decode(self, packet: Any) -> None:
        try:
            pictures = packet.decode()
        except self._av.FFmpegError as error:
            self._put(None, None, f"cannot be decoded ({reason_of(error)})")
            return
        for picture in pictures:
            pts_ns = None if picture.pts is None else round(picture.pts * picture.time_base * SECOND_NS)
            self._put(picture, pts_ns, "is damaged" if picture.is_corrupt else None)

    def _put(self, picture: Any, pts_ns: int | None, problem: str | None) -> None:
        now_ns, frame_id = self._now_ns(), self._num_pictures
        self._num_pictures += 1
        captured_ns = self._clock.captured_ns(pts_ns, now_ns)
        if problem is not None:
            problem = f"picture {frame_id} of {self._address} {problem}; look for losses in the network"
        captured = Captured(frame_id, captured_ns, frame_name(self._address, captured_ns, now_ns))
        self._newest.put(_Arrived(captured, picture, problem))
