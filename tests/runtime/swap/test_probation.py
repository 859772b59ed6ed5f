"""A bundle that does worse in service than on trial makes way for the old one between two frames."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

import numpy as np
import pytest

from runtime.errors import BackendError, NotFiniteError
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.segmenter import Segmentation
from runtime.swap.probation import Probation
from tests.runtime.swap.altered import altering
from tests.runtime.swap.bundles import FRAME_HW, A, B, id_of, labels_of, put
from tests.runtime.swap.vehicle import Vehicle, after

MakeBundle = Callable[..., Path]
# Frames of the trial, and the first ones in service.
SHADOW, SOUND = 5, 3


def not_finite_in_confidence(segmentation: Segmentation) -> Segmentation:
    return Segmentation(segmentation.labels, np.zeros_like(segmentation.confidence), 0, 1)


def frozen(segmentation: Segmentation) -> Segmentation:
    return Segmentation(np.zeros_like(segmentation.labels), np.full_like(segmentation.confidence, 200), 0, 1)


def failing(error: BackendError) -> Callable[[Segmentation], Segmentation]:
    def fail(_: Segmentation) -> Segmentation:
        raise error

    return fail


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (failing(BackendError("device lost")), "device lost"),
        (failing(NotFiniteError("NaN in the logits")), "NaN in the logits"),
        (not_finite_in_confidence, "NaN or infinite"),
        (frozen, "very same labels and confidence"),
    ],
)
def test_fault_brings_the_old_bundle_back(
    vehicle: Vehicle, make: MakeBundle, fault: Callable[[Segmentation], Segmentation], message: str
) -> None:
    put(make("a", A), vehicle.place)
    a, bundle_b = id_of(vehicle.place), make("b", B)
    b = id_of(bundle_b)
    vehicle.open_segmenter = altering(b, lambda number, said: fault(said) if number > SHADOW + SOUND else said)
    vehicle.swap["num_probation_frames"] = 1000
    vehicle.start()
    put(bundle_b, vehicle.place)
    drive, counters = vehicle.drive(lambda: vehicle.record()["refused"] is not None)
    more, _ = vehicle.drive(after(20))
    ids = [bundle_id for bundle_id, _, _ in drive.results + more.results]
    assert ids.count(b) >= SOUND
    assert ids[0] == ids[-1] == a
    assert vehicle.record()["refused"]["bundle_id"] == b
    assert message in vehicle.record()["refused"]["why"]
    assert message in str(vehicle.why_refused)
    assert (vehicle.good, vehicle.record()["trial"], vehicle.served.num_swaps) == (a, None, 2)
    for _, frame, labels in more.results:
        assert np.array_equal(labels, labels_of(frame, A))
    assert counters.num_captured == counters.num_published + counters.num_dropped + counters.num_withheld
    vehicle.wait_until(lambda: vehicle.copies() == {a})


def test_bundle_that_was_rolled_back_is_refused_after_a_restart_too(vehicle: Vehicle, make: MakeBundle) -> None:
    put(make("a", A), vehicle.place)
    bundle_b = make("b", B)
    b = id_of(bundle_b)
    vehicle.open_segmenter = altering(
        b, lambda number, said: failing(BackendError("device lost"))(said) if number > SHADOW else said
    )
    a = vehicle.start().bundle_id
    put(bundle_b, vehicle.place)
    vehicle.drive(lambda: vehicle.record()["refused"] is not None)
    vehicle.restart()
    vehicle.drive(lambda: vehicle.why_refused is not None)
    assert f"bundle {b[:12]} was refused earlier and is not tried again: device lost" in str(vehicle.why_refused)
    assert (vehicle.served.bundle_id, vehicle.served.num_swaps) == (a, 0)


def test_late_results_of_the_old_bundle_are_not_held_against_the_new_one(vehicle: Vehicle, make: MakeBundle) -> None:
    put(make("a", A), vehicle.place)
    vehicle.monitor = Monitor(HealthConfig(ratio_frames=2, max_late_ratio=0.7, no_frames_ms=60_000), monotonic_ns)
    served, monitor = vehicle.start(), vehicle.monitor
    put(make("b", B), vehicle.place)
    rng = np.random.default_rng(0)

    def one_frame() -> bool:
        served.swap_if_due(monitor.health())
        served.segment(rng.integers(128, 256, (*FRAME_HW, 3), dtype=np.uint8))
        return served.num_swaps > 0

    def one_frame_of_a() -> bool:
        # One late result of two, which is not too many yet.
        monitor.result_published(age_ns=0, deadline_ns=1)
        monitor.result_published(age_ns=2, deadline_ns=1)
        return one_frame()

    vehicle.wait_until(one_frame_of_a)
    monitor.result_published(age_ns=2, deadline_ns=1)
    one_frame()
    assert (vehicle.why_refused, served.num_swaps) == (None, 1)
    monitor.result_published(age_ns=2, deadline_ns=1)
    one_frame()
    vehicle.wait_until(lambda: "missed the deadline" in str(vehicle.why_refused))
    assert served.num_swaps == 2


def test_only_what_a_bundle_can_be_blamed_for_counts() -> None:
    probation = Probation(10, Reason.NONE)
    camera = Health(Reason.NO_FRAMES | Reason.SOURCE_LOST, ("no frame", "lost"))
    assert probation.problem(camera) is None
    hanging = Health(Reason.NO_FRAMES | Reason.STALLED, ("no frame", "reading a frame takes more than 15000 ms"))
    assert probation.problem(hanging) is None
    # The first frame is there, and the watchdog has not looked yet.
    assert probation.problem(Health(Reason.STALLED, hanging.details[1:])) is None
    assert probation.problem(Health(Reason.NONE)) is None
    assert probation.problem(Health(Reason.STALLED, ("one frame in the engine",))) == "one frame in the engine"
    late = Health(Reason.ALL_LATE | Reason.NO_FRAMES, ("all late", "no frame"))
    assert probation.problem(late) == "all late"


def test_what_was_wrong_before_the_swap_counts_once_it_was_over() -> None:
    probation = Probation(10, Reason.DEADLINES_MISSED)
    late = Health(Reason.DEADLINES_MISSED, ("5 % were late",))
    assert probation.problem(late) is None
    assert probation.problem(Health(Reason.NONE)) is None
    assert probation.problem(late) == "5 % were late"
