"""The structures and numbers of iapc_ring.h, in its order; the tests compare every offset with the compiler's."""

import ctypes
from enum import IntEnum

from runtime.units import MILLISECOND_NS

__all__ = ["SILENT_NS", "Handle", "Info", "Kind", "Layout", "RingStatus", "Verdict"]

SILENT_NS = 500 * MILLISECOND_NS
"""A writer that says nothing for longer hangs; the runtime speaks every 100 ms."""


class Kind(IntEnum):
    """What a ring holds.

    FRAMES      one plane (H, W, 3) uint8 RGB
    RESULTS     two planes (H, W) uint8: labels, which are train ids, and confidence, 255 at certainty
    """

    FRAMES = 1
    RESULTS = 2


class Verdict(IntEnum):
    """Whether what a reader holds may be used now; only FRESH says yes.

    FRESH           within its deadline, from a writer that lives and trusts it
    STALE           older than the deadline, or from the future
    FAULT           the writer says that it is not to be trusted, and why
    NO_RESULT_YET   nothing was written so far
    SILENT          the writer's process lives, and hangs
    STOPPED         the writer ended in order; a new one needs the ring to be opened again
    WRITER_DEAD     the writer was killed or crashed; likewise
    """

    FRESH = 0
    STALE = 1
    FAULT = 2
    NO_RESULT_YET = 3
    SILENT = 4
    STOPPED = 5
    WRITER_DEAD = 6


class Layout(ctypes.Structure):
    """`iapc_ring_layout`."""

    _fields_ = (
        ("magic", ctypes.c_uint64),
        ("layout_version", ctypes.c_uint32),
        ("header_bytes", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("num_classes", ctypes.c_uint32),
        ("num_slots", ctypes.c_uint32),
        ("num_planes", ctypes.c_uint32),
        ("plane_bytes", ctypes.c_uint64),
        ("slot_stride", ctypes.c_uint64),
        ("file_bytes", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_int64),
        ("created_ns", ctypes.c_int64),
        ("writer_pid", ctypes.c_int32),
        ("reserved", ctypes.c_uint8 * 44),
    )


class RingStatus(ctypes.Structure):
    """`iapc_ring_status`."""

    _fields_ = (
        ("now_ns", ctypes.c_int64),
        ("state", ctypes.c_uint32),
        ("reasons", ctypes.c_uint32),
        ("drop_ratio", ctypes.c_double),
        ("counters", ctypes.c_int64 * 9),
        ("bundle_id", ctypes.c_uint8 * 32),
    )


class Info(ctypes.Structure):
    """`iapc_ring_info`."""

    _fields_ = (
        ("number", ctypes.c_uint64),
        ("frame_id", ctypes.c_int64),
        ("captured_ns", ctypes.c_int64),
        ("published_ns", ctypes.c_int64),
        ("stage_ns", ctypes.c_int64 * 5),
        ("state", ctypes.c_uint32),
        ("reasons", ctypes.c_uint32),
        ("drop_ratio", ctypes.c_double),
        ("bundle_id", ctypes.c_uint8 * 32),
    )


class Handle(ctypes.Structure):
    """`iapc_ring`: an open ring."""

    _fields_ = (
        ("layout", Layout),
        ("problem", ctypes.c_char * 256),
        ("path", ctypes.c_char * 80),
        ("header", ctypes.c_void_p),
        ("mapped_bytes", ctypes.c_uint64),
        ("fd", ctypes.c_int),
        ("is_writer", ctypes.c_int),
    )
