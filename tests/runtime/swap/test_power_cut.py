"""Whatever ends the process, and whenever: the next one serves a good bundle."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.swap import dying
from tests.runtime.swap.bundles import GOLDEN_FRAMES, A, B, id_of, labels_of, put
from tests.runtime.swap.vehicle import Vehicle, after

MakeBundle = Callable[..., Path]
# More than a swap has.
MANY = 100


def statuses(vehicle: Vehicle, how: str, count: int) -> list[int]:
    command = [sys.executable, dying.__file__, str(vehicle.place), str(vehicle.state), how, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def test_power_cut_at_any_moment_of_a_swap_leaves_a_good_bundle(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    vehicle.stop()
    b = id_of(put(make("b", B), vehicle.place))
    found = statuses(vehicle, "renames", MANY)
    # The copy, the record of its trial, the record of success, the old copy; the last process was not cut off.
    assert len(found) > 4
    assert found == [dying.KILLED] * (len(found) - 1) + [0]
    first_served = []
    for number in range(1, len(found) + 1):
        after_cut = Vehicle(vehicle.place, vehicle.state.with_name(f"{vehicle.state.name}-{number}"))
        try:
            served = after_cut.start()
            first_served.append(served.bundle_id)
            favour = A if served.bundle_id == serving_a else B
            assert np.array_equal(served.segment(GOLDEN_FRAMES[0]).labels, labels_of(GOLDEN_FRAMES[0], favour))
            assert served.bundle_id in {serving_a, b}
        finally:
            after_cut.stop()
    # Once the new one is good it stays so.
    assert first_served == sorted(first_served, key=[serving_a, b].index)
    assert set(first_served) == {serving_a, b}


@pytest.mark.parametrize("is_noted", [False, True])
def test_swap_that_was_cut_off_is_done_again(
    vehicle: Vehicle, serving_a: str, make: MakeBundle, is_noted: bool
) -> None:
    b = id_of(put(make("b", B), vehicle.place))
    if is_noted:
        vehicle.store.begin_trial(b, 3)
    vehicle.restart()
    assert vehicle.served.bundle_id == serving_a
    vehicle.drive(lambda: vehicle.good == b)
    assert vehicle.record()["trial"] is None


def test_bundle_that_ends_the_process_on_each_trial_is_refused(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    vehicle.stop()
    put(make("b", B), vehicle.place)
    assert statuses(vehicle, "trials", 5) == [dying.KILLED] * 3 + [0, 0]
    vehicle.start()
    vehicle.drive(lambda: vehicle.why_refused is not None)
    assert "the process ended during each of its 3 trials" in str(vehicle.why_refused)
    drive, _ = vehicle.drive(after(5))
    assert {bundle_id for bundle_id, _, _ in drive.results} == {serving_a}
