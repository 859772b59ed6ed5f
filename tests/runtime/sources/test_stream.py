import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import FrameError, SourceError
from runtime.sources.names import frame_name, without_password
from runtime.sources.stream import StreamSource

Frame = NDArray[np.uint8]
HW = (32, 48)


def transport_stream(path: Path, num_pictures: int = 30, hw: tuple[int, int] = HW) -> bytes:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *hw, "yuv420p"
        for _ in range(num_pictures):
            picture = rng.integers(0, 256, (*hw, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


class Server:
    """Sends bytes to whoever connects, then waits until it is told to hang up."""

    def __init__(self, content: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.hang_up = threading.Event()
        self._content = content
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(self._content)
            self.hang_up.wait(30)

    def close(self) -> None:
        self.hang_up.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[type[Server]]:
    servers = []

    class Kept(Server):
        def __init__(self, content: bytes) -> None:
            super().__init__(content)
            servers.append(self)

    yield Kept
    for server in servers:
        server.close()


@pytest.fixture
def into() -> Frame:
    return np.zeros((*HW, 3), np.uint8)


def read_until_lost(source: StreamSource, into: Frame, timeout_s: float) -> tuple[list[int | None], str]:
    """Numbers of what came, None where nothing came in time, and how the stream was lost."""
    numbers: list[int | None] = []
    for _ in range(1000):
        try:
            captured = source.read(into, timeout_s)
        except FrameError:
            continue
        except SourceError as error:
            return numbers, str(error)
        numbers.append(captured.frame_id if captured else None)
    raise AssertionError("the stream was not lost")


def test_newest_picture_comes_and_those_before_it_are_lost_numbers(
    serve: type[Server], tmp_path: Path, into: Frame
) -> None:
    server = serve(transport_stream(tmp_path / "drive.ts"))
    source = StreamSource(server.address, {}, timeout_s=5.0)
    last = -1
    for _ in range(100):
        captured = source.read(into, 0.05)
        if captured is not None:
            assert captured.frame_id > last
            last = captured.frame_id
        if last == 29 or (captured is None and last >= 20):
            break
    # The decoder may keep the last pictures until the stream ends.
    assert last >= 20
    assert into.any()
    server.hang_up.set()
    source.close()


def test_stream_that_ends_is_lost(serve: type[Server], tmp_path: Path, into: Frame) -> None:
    server = serve(transport_stream(tmp_path / "drive.ts"))
    source = StreamSource(server.address, {}, timeout_s=5.0)
    server.hang_up.set()
    _, lost = read_until_lost(source, into, 0.1)
    assert lost == f"stream {server.address} ended"
    source.close()


def test_stream_that_falls_silent_is_lost_and_reads_return_in_time_until_then(
    serve: type[Server], tmp_path: Path, into: Frame
) -> None:
    server = serve(transport_stream(tmp_path / "drive.ts"))
    source = StreamSource(server.address, {}, timeout_s=0.5)
    numbers, lost = read_until_lost(source, into, 0.01)
    assert "was lost (Immediate exit requested)" in lost
    assert numbers.count(None) > 5
    source.close()


def test_dead_address_is_told_without_its_password(serve: type[Server]) -> None:
    server = serve(b"")
    address = server.address.replace("//", "//user:secret@")
    with pytest.raises(SourceError, match=r"stream tcp://127.0.0.1:\d+ cannot be opened .* within 0.2 s") as caught:
        StreamSource(address, {}, timeout_s=0.2)
    assert "secret" not in str(caught.value)


def test_pictures_of_another_size_are_refused(serve: type[Server], tmp_path: Path, into: Frame) -> None:
    server = serve(transport_stream(tmp_path / "drive.ts", hw=(64, 64)))
    source = StreamSource(server.address, {}, timeout_s=5.0)
    with pytest.raises(FrameError, match=r"picture \d+ of tcp.* has shape \(64, 64, 3\)"):
        source.read(into, 30.0)
    server.hang_up.set()
    source.close()


def test_damaged_packets_are_told_and_the_stream_goes_on(serve: type[Server], tmp_path: Path, into: Frame) -> None:
    content = bytearray(transport_stream(tmp_path / "drive.ts", num_pictures=60))
    middle = len(content) // 2 // 188 * 188
    for packet in range(middle, middle + 40 * 188, 188):
        # The transport's own headers stay whole, so that the damage reaches the decoder.
        content[packet + 20 : packet + 188] = b"\xff" * 168
    server = serve(bytes(content))
    source = StreamSource(server.address, {}, timeout_s=5.0)
    server.hang_up.set()
    numbers, lost = read_until_lost(source, into, 0.05)
    assert lost.endswith("ended")
    assert max(number for number in numbers if number is not None) > 30
    source.close()


def test_names_sort_by_time_and_hold_nothing_a_file_must_not() -> None:
    early = frame_name("rtsp://cam/a b", captured_ns=0, now_ns=5_000_000_000)
    late = frame_name("rtsp://cam/a b", captured_ns=5_000_000_000, now_ns=5_000_000_000)
    assert early < late
    assert early.startswith("rtsp_cam_a_b_2")
    assert "/" not in early + late


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:pass@cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://cam/live@home", "rtsp://cam/live@home"),
    ],
)
def test_password_is_left_out(address: str, shown: str) -> None:
    assert without_password(address) == shown
