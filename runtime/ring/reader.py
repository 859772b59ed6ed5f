"""Reads a ring: the newest slot, whole or not at all, and whether it may be used at this moment."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic_ns
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime.errors import SourceError
from runtime.health.reasons import Health, Reason
from runtime.result import Counters, Stages, Status
from runtime.ring.compiled import ring_library
from runtime.ring.layout import SILENT_NS, Handle, Info, Kind, RingStatus, Verdict

__all__ = ["RingReader", "RingSlot"]


@dataclass(frozen=True, slots=True)
class RingSlot:
    """A copy of one slot, with what its writer knew of it.

    `number` counts the writer's publications from 1. `planes` is (frame,) of (H, W, 3), or (labels, confidence) of
    (H, W), uint8. `published_ns` and what follows it belong to results; `health` is that of the moment of publication.
    """

    number: int
    frame_id: int
    captured_ns: int
    planes: tuple[NDArray[np.uint8], ...]
    published_ns: int
    stages: Stages
    health: Health
    drop_ratio: float
    bundle_id: str

    @property
    def frame(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, of a ring of frames."""
        (frame,) = self.planes
        return frame

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(H, W) train ids, of a ring of results."""
        labels, _ = self.planes
        return labels

    @property
    def confidence(self) -> NDArray[np.uint8]:
        """(H, W), 255 at certainty, of a ring of results."""
        _, confidence = self.planes
        return confidence


class RingReader:
    """One of any number of readers of a ring; `open` makes it, and any thread may close it.

    It goes on reading the writer that it was opened on: once the verdict is STOPPED or WRITER_DEAD, open the name again
    to get the next one.

    Attributes:
        kind: what the ring holds.
        frame_hw: height and width.
        plane_shape: (H, W, 3) for frames, (H, W) for results.
        layout: the header: `num_classes`, `num_slots`, `deadline_ns`, `created_ns`, `writer_pid` and more.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._library = ring_library()
        self._lock = Lock()
        self.layout = handle.layout
        self.kind = Kind(self.layout.kind)
        self.frame_hw: tuple[int, int] = (self.layout.height, self.layout.width)
        self.plane_shape = (*self.frame_hw, 3) if self.kind is Kind.FRAMES else self.frame_hw

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a ring by name, whether or not its writer lives.

        Raises:
            SourceError: there is no such ring, or the file is not one that this version can read.
            BackendError: the compiled part is missing.
        """
        handle = Handle()
        if ring_library().iapc_ring_open(ctypes.byref(handle), name.encode()) != 0:
            raise _error_of(handle)
        return cls(handle)

    def newest(self, after: int = 0, into: Sequence[NDArray[np.uint8]] | None = None) -> RingSlot | None:
        """Copy the newest slot.

        Args:
            after: only if its number is above this one.
            into: contiguous arrays for the planes; None allocates them.

        Returns:
            The slot; None where there is none of such a number.

        Raises:
            SourceError: the ring is closed, or written faster than it can be read.
            ValueError: `into` does not fit.
        """
        if into is None:
            planes = tuple(np.empty(self.plane_shape, dtype=np.uint8) for _ in range(self.layout.num_planes))
        else:
            planes = tuple(into)
            self._require_fit(planes)
        addresses = [plane.ctypes.data for plane in planes]
        info = self._copy(after, addresses[0], addresses[-1])
        return None if info is None else _slot_of(info, planes)

    def verdict(self, slot: RingSlot | None, now_ns: int | None = None, silent_ns: int = SILENT_NS) -> Verdict:
        """Whether a slot may be used now; of None, what is to be said of the writer.

        Args:
            slot: what the reader holds.
            now_ns: a moment after it was read; None is now.
            silent_ns: age of the last heartbeat from which the writer counts as hung.
        """
        info = Info()
        if slot is not None:
            info = Info(number=slot.number, captured_ns=slot.captured_ns, state=slot.health.state)
        now_ns = monotonic_ns() if now_ns is None else now_ns
        with self._lock:
            return Verdict(
                self._library.iapc_ring_verdict(ctypes.byref(self._handle), ctypes.byref(info), now_ns, silent_ns)
            )

    def status(self) -> Status:
        """What the writer said of itself last.

        Raises:
            SourceError: the ring is closed, or its status could not be read.
        """
        status = RingStatus()
        with self._lock:
            problem = self._library.iapc_ring_read_status(ctypes.byref(self._handle), ctypes.byref(status))
        if problem != 0:
            raise _error_of(self._handle)
        last = self._copy(0, None, None)
        return Status(
            now_ns=status.now_ns,
            health=Health(Reason(status.reasons)),
            counters=Counters(*status.counters),
            drop_ratio=status.drop_ratio,
            last_frame_id=-1 if last is None else last.frame_id,
            last_captured_ns=-1 if last is None else last.captured_ns,
            bundle_id=bytes(status.bundle_id).hex(),
        )

    @property
    def has_writer(self) -> bool:
        """Whether the writer's process lives."""
        with self._lock:
            return bool(self._library.iapc_ring_has_writer(ctypes.byref(self._handle)))

    def close(self) -> None:
        """Give back the memory; may be repeated."""
        with self._lock:
            self._library.iapc_ring_close(ctypes.byref(self._handle))

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ring."""
        self.close()

    def _copy(self, after: int, first: int | None, second: int | None) -> Info | None:
        info = Info()
        with self._lock:
            num_copied = self._library.iapc_ring_copy(
                ctypes.byref(self._handle), after, ctypes.byref(info), first, second
            )
        if num_copied < 0:
            raise _error_of(self._handle)
        return info if num_copied else None

    def _require_fit(self, planes: tuple[NDArray[np.uint8], ...]) -> None:
        for plane in planes:
            if plane.dtype != np.uint8 or plane.shape != self.plane_shape or not plane.flags.c_contiguous:
                raise ValueError(f"into: got {plane.dtype} {plane.shape}, expected contiguous uint8 {self.plane_shape}")
        if len(planes) != self.layout.num_planes:
            raise ValueError(f"into: got {len(planes)} planes, expected {self.layout.num_planes}")


def _slot_of(info: Info, planes: tuple[NDArray[np.uint8], ...]) -> RingSlot:
    return RingSlot(
        number=info.number,
        frame_id=info.frame_id,
        captured_ns=info.captured_ns,
        planes=planes,
        published_ns=info.published_ns,
        stages=Stages(*info.stage_ns),
        health=Health(Reason(info.reasons)),
        drop_ratio=info.drop_ratio,
        bundle_id=bytes(info.bundle_id).hex(),
    )


def _error_of(handle: Handle) -> SourceError:
    return SourceError(handle.problem.decode(errors="replace"))
