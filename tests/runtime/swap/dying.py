"""Processes that end in the middle of a swap: run with PLACE STATE HOW COUNT, prints the exit status of each.

HOW is `renames`: the nth process ends, as by a power cut, before the nth rename or removal of a folder, each on its own
copy STATE-n of the state folder; or `trials`: COUNT processes in a row end while they open the bundle on trial.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from runtime.bundle.manifest import MANIFEST_NAME
from runtime.health.reasons import OK
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from tests.runtime.swap.bundles import FRAME_HW, id_of
from tests.runtime.swap.vehicle import Vehicle

KILLED = 9


def main() -> None:
    place, state, how, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    assert (place / MANIFEST_NAME).exists()
    if how == "renames":
        for number in range(1, count + 1):
            copy = state.with_name(f"{state.name}-{number}")
            shutil.copytree(state, copy)
            status = status_of(lambda copy=copy, number=number: swap(place, copy, cut_at=number))  # type: ignore[misc]
            print(status)
            if status == 0:
                return
    for _ in range(count):
        print(status_of(lambda: swap(place, state, cut_at=None)))


def status_of(work: Callable[[], None]) -> int:
    """Run it in a process of its own."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def swap(place: Path, state: Path, cut_at: int | None) -> None:
    """Serve until what is at the place is the good bundle, or was refused."""
    vehicle = Vehicle(place, state)
    vehicle.swap["num_probation_frames"] = 3
    new = id_of(place)
    if cut_at is None:
        vehicle.open_segmenter = dying_of(new)
    served = vehicle.start()
    # Not before, so that both ways have the same start.
    if cut_at is not None:
        cut_power(cut_at)
    rng = np.random.default_rng(0)
    while vehicle.copies() != {new} and vehicle.why_refused is None:
        served.swap_if_due(OK)
        served.segment(rng.integers(128, 256, (*FRAME_HW, 3), dtype=np.uint8))


def dying_of(bundle_id: str) -> Callable[[Path, RuntimeConfig], Segmenter]:
    def open_segmenter(bundle: Path, config: RuntimeConfig) -> Segmenter:
        if bundle.name == bundle_id:
            os._exit(KILLED)
        return Segmenter.open(bundle, config)

    return open_segmenter


def cut_power(number: int) -> None:
    """End the process before the nth change."""
    num_left = number

    def cutting(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **named: Any) -> Any:
            nonlocal num_left
            num_left -= 1
            if num_left == 0:
                os._exit(KILLED)
            return change(*arguments, **named)

        return changed

    for name in ("rename", "replace", "rmdir"):
        setattr(os, name, cutting(getattr(os, name)))


if __name__ == "__main__":
    main()
