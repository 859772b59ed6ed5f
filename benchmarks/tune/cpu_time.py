"""What a frame costs all cores together, what idle threads do until the next frame included."""

import time
from collections.abc import Sequence

from benchmarks.contenders import SETTLE_S, Frame, Timed

__all__ = ["cpu_ms_per_frame"]

MAX_FRAMES = 16


def cpu_ms_per_frame(timed: Timed, frames: Sequence[Frame], num_frames: int) -> float:
    """Milliseconds of CPU time of this process a frame, `SETTLE_S` of rest after each included.

    Measured apart from the turns: in these, threads that spin after a query would be counted for whoever comes next.

    Args:
        timed: what is measured; its samples stay as they are.
        frames: shown in rotation.
        num_frames: how many are shown at most.
    """
    num_frames = min(num_frames, MAX_FRAMES)
    time.sleep(SETTLE_S)
    start_ns = time.process_time_ns()
    for index in range(num_frames):
        timed.query(frames[index % len(frames)])
    time.sleep(SETTLE_S)
    return (time.process_time_ns() - start_ns) / num_frames / 1e6
