"""Writes a ring: results by the runtime, or frames by a camera's process."""

import ctypes
from dataclasses import astuple
from time import monotonic_ns
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runtime.errors import SinkError
from runtime.health.reasons import OK
from runtime.result import Captured, Result, Status
from runtime.ring.compiled import ring_library
from runtime.ring.layout import Handle, Info, Kind, Layout, RingStatus

__all__ = ["RingWriter"]


class RingWriter:
    """The one writer of a ring, for one thread; `create` makes it.

    It must `beat` at least every 100 ms, or readers take it for hung; whatever it wrote last stays readable when its
    process dies, and readers are told that it died.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._library = ring_library()

    @classmethod
    def create(
        cls,
        name: str,
        kind: Kind,
        frame_hw: tuple[int, int],
        *,
        num_slots: int,
        deadline_ns: int,
        num_classes: int = 0,
    ) -> Self:
        """Make a ring, in place of one whose writer is dead.

        Args:
            name: 1 to 64 letters, digits, '.', '_' or '-'; the file is /dev/shm/iapc-NAME.
            kind: what it holds.
            frame_hw: height and width.
            num_slots: 2 to 64; a reader has the time of `num_slots` - 1 writes for reading one.
            deadline_ns: greatest age, from capture, at which a slot counts as fresh.
            num_classes: of the labels; 0 for frames.

        Raises:
            SinkError: the name has a living writer or is no ring, or there is too little shared memory.
            BackendError: the compiled part is missing.
        """
        wanted = Layout(
            kind=kind,
            height=frame_hw[0],
            width=frame_hw[1],
            num_classes=num_classes,
            num_slots=num_slots,
            deadline_ns=deadline_ns,
        )
        handle = Handle()
        if ring_library().iapc_ring_create(ctypes.byref(handle), name.encode(), ctypes.byref(wanted)) != 0:
            raise _error_of(handle)
        return cls(handle)

    def write_frame(self, captured: Captured, frame: NDArray[np.uint8]) -> None:
        """Publish a frame, (H, W, 3) uint8 RGB, and beat.

        Raises:
            SinkError: the ring is closed or holds something else.
        """
        info = Info(frame_id=captured.frame_id, captured_ns=captured.captured_ns)
        self._write(Kind.FRAMES, info, frame)
        self.beat(Status(now_ns=monotonic_ns(), health=OK))

    def write_result(self, result: Result) -> None:
        """Publish labels and confidence, and beat.

        Raises:
            SinkError: the ring is closed or holds something else.
        """
        status = result.status
        info = Info(
            frame_id=result.captured.frame_id,
            captured_ns=result.captured.captured_ns,
            published_ns=result.published_ns,
            stage_ns=astuple(result.stages),
            **_told(status),
        )
        self._write(Kind.RESULTS, info, result.labels, result.confidence)
        self.beat(status)

    def beat(self, status: Status) -> None:
        """Say that the writer lives, and how it is.

        Raises:
            SinkError: the ring is closed.
        """
        told = RingStatus(now_ns=status.now_ns, counters=astuple(status.counters), **_told(status))
        if self._library.iapc_ring_beat(ctypes.byref(self._handle), ctypes.byref(told)) != 0:
            raise _error_of(self._handle)

    def close(self) -> None:
        """Tell readers that the writer stopped, take the name away, give back the memory; may be repeated."""
        self._library.iapc_ring_close(ctypes.byref(self._handle))

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ring."""
        self.close()

    def _write(self, kind: Kind, info: Info, *planes: NDArray[np.uint8]) -> None:
        layout = self._handle.layout
        shape = (layout.height, layout.width, 3)[: 3 if kind is Kind.FRAMES else 2]
        for plane in planes:
            if layout.kind != kind or plane.dtype != np.uint8 or plane.shape != shape:
                raise SinkError(
                    f"a ring of {Kind(layout.kind).name.lower()}, {layout.height} x {layout.width}, cannot take "
                    f"{kind.name.lower()} of {plane.dtype} {plane.shape}; create it for what is written"
                )
        rows = [np.ascontiguousarray(plane) for plane in planes]
        addresses = [row.ctypes.data for row in rows]
        second = addresses[1] if len(addresses) > 1 else None
        if self._library.iapc_ring_write(ctypes.byref(self._handle), ctypes.byref(info), addresses[0], second) != 0:
            raise _error_of(self._handle)


def _told(status: Status) -> dict[str, Any]:
    return {
        "state": status.health.state,
        "reasons": status.health.reasons,
        "drop_ratio": status.drop_ratio,
        "bundle_id": tuple(bytes.fromhex(status.bundle_id)),
    }


def _error_of(handle: Handle) -> SinkError:
    return SinkError(handle.problem.decode(errors="replace"))
