"""A good bundle takes over while the loop runs."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from runtime.errors import BackendError
from runtime.health.reasons import Reason
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.store import Store
from tests.runtime.swap.bundles import A, B, C, id_of, labels_of, put
from tests.runtime.swap.vehicle import LONGEST_S, Vehicle, after

MakeBundle = Callable[..., Path]


def test_new_bundle_takes_over_between_two_frames(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    b = id_of(put(make("b", B), vehicle.place))
    drive, counters = vehicle.drive(lambda: vehicle.good == b)
    ids = [bundle_id for bundle_id, _, _ in drive.results]
    first_of_b = ids.index(b)
    assert first_of_b > 0
    assert ids == [serving_a] * first_of_b + [b] * (len(ids) - first_of_b)
    for bundle_id, frame, labels in drive.results:
        assert np.array_equal(labels, labels_of(frame, B if bundle_id == b else A))
    assert counters.num_captured == counters.num_published + counters.num_dropped
    assert (counters.num_withheld, counters.num_restarts) == (0, 0)
    assert drive.reasons == Reason.NONE
    assert vehicle.served.num_swaps == 1
    assert vehicle.served.known.manifest_of(b) is vehicle.served.manifest
    assert vehicle.served.known.manifest_of(serving_a) is vehicle.served.known.first
    assert vehicle.served.manifest.artefacts[0].sha256 in (vehicle.place / "manifest.json").read_text()


def test_the_bundle_before_the_last_good_one_is_deleted(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    b, c = (make(name, favour) for name, favour in (("b", B), ("c", C)))
    b_id, c_id = id_of(b), id_of(c)
    assert vehicle.copies() == {serving_a}
    put(b, vehicle.place)
    vehicle.drive(lambda: vehicle.copies() == {b_id})
    put(c, vehicle.place)
    vehicle.drive(lambda: vehicle.copies() == {c_id})
    assert vehicle.record() == {"schema_version": 1, "good": c_id, "trial": None, "refused": None}
    assert vehicle.served.num_swaps == 2


def test_link_that_points_elsewhere_is_a_new_bundle(vehicle: Vehicle, make: MakeBundle) -> None:
    a, b = make("a", A), make("b", B)
    vehicle.place.symlink_to(a)
    vehicle.start()
    link = vehicle.place.with_name("link")
    link.symlink_to(b)
    link.replace(vehicle.place)
    vehicle.drive(lambda: vehicle.good == id_of(b))


def test_bundle_that_is_still_being_copied_is_waited_for(vehicle: Vehicle, make: MakeBundle) -> None:
    put(make("a", A), vehicle.place)
    vehicle.swap["settle_s"] = 3600.0
    vehicle.start()
    b = id_of(put(make("b", B), vehicle.place))
    network = (vehicle.place / "fp32.onnx").read_bytes()
    (vehicle.place / "fp32.onnx").write_bytes(network[:100])
    drive, _ = vehicle.drive(after(50))
    assert drive.reasons == Reason.NONE
    with (vehicle.place / "fp32.onnx").open("r+b") as file:
        file.write(network)
    drive, _ = vehicle.drive(lambda: vehicle.good == b)
    assert drive.reasons == Reason.NONE


def test_bundle_edited_in_place_leaves_the_one_in_service_alone(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    (vehicle.place / "fp32.onnx").write_bytes(b"another network")
    # Its engine is opened again from what nobody edits.
    vehicle.served.restart()
    assert vehicle.served.bundle_id == serving_a
    drive, _ = vehicle.drive(after(5))
    for _, frame, labels in drive.results:
        assert np.array_equal(labels, labels_of(frame, A))


def test_engine_is_never_opened_again_from_another_bundle(vehicle: Vehicle, make: MakeBundle) -> None:
    put(make("a", A), vehicle.place)
    vehicle.swap["check_s"] = 3600.0
    a = vehicle.start().bundle_id
    put(make("b", B), vehicle.place)
    (vehicle.state / a / "fp32.onnx").write_bytes(b"")
    with pytest.raises(BackendError, match="was altered"):
        vehicle.served.restart()


def test_success_that_cannot_be_noted_is_told(
    vehicle: Vehicle, serving_a: str, make: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(bundle_id: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(vehicle.store, "promote", full)
    b = id_of(put(make("b", B), vehicle.place))
    drive, _ = vehicle.drive(lambda: vehicle.why_refused is not None)
    assert "No space left" in str(vehicle.why_refused)
    assert drive.results[-1][0] == b
    # Each has its copy, because a restart goes back to the old one.
    vehicle.wait_until(lambda: vehicle.copies() == {serving_a, b})
    vehicle.restart()
    assert vehicle.served.bundle_id == serving_a


def test_bundle_that_changes_while_it_is_copied_is_read_again(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    b, c = make("b", B), make("c", C)
    c_id = id_of(c)
    take_in = vehicle.store.take_in
    num_copies = 0

    def replaced_meanwhile(*arguments: object) -> None:
        nonlocal num_copies
        take_in(*arguments)  # type: ignore[arg-type]
        num_copies += 1
        if num_copies == 1:
            put(c, vehicle.place)

    vehicle.store.take_in = replaced_meanwhile  # type: ignore[method-assign,assignment]
    put(b, vehicle.place)
    drive, _ = vehicle.drive(lambda: vehicle.good == c_id)
    assert {bundle_id for bundle_id, _, _ in drive.results} == {serving_a, c_id}
    assert vehicle.served.num_swaps == 1


def test_return_to_the_bundle_in_service_ends_the_complaint(vehicle: Vehicle, serving_a: str) -> None:
    moved = vehicle.place.rename(vehicle.place.with_name("moved"))
    vehicle.drive(lambda: vehicle.why_refused is not None)
    put(moved, vehicle.place)
    vehicle.drive(lambda: vehicle.why_refused is None)
    assert vehicle.served.num_swaps == 0


def test_closing_in_the_middle_of_a_trial_does_not_count_as_an_attempt(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    put(make("b", B), vehicle.place)
    vehicle.wait_until(lambda: vehicle.record()["trial"] is not None)
    vehicle.stop()
    assert vehicle.record() == {"schema_version": 1, "good": serving_a, "trial": None, "refused": None}


def test_stop_does_not_wait_for_a_bundle_that_takes_long_to_open(
    vehicle: Vehicle, serving_a: str, make: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    is_opening, let_go = Event(), Event()

    def building(path: Path, config: RuntimeConfig) -> Segmenter:
        if path.name != serving_a:
            is_opening.set()
            assert let_go.wait(LONGEST_S)
        return Segmenter.open(path, config)

    vehicle.stop()
    vehicle.open_segmenter, vehicle.end_s = building, 0.01
    vehicle.start()
    put(make("b", B), vehicle.place)
    assert is_opening.wait(LONGEST_S)
    assert vehicle.record()["trial"]["num_attempts"] == 1
    vehicle.stop()
    # Said before it waits: whoever is out of patience kills the process now.
    assert vehicle.record()["trial"] is None
    assert "is left behind; the next start tries it again" in capsys.readouterr().err
    let_go.set()
    vehicle.served._successor.join(LONGEST_S)
    assert not vehicle.served._successor.is_alive()
    assert vehicle.record() == {"schema_version": 1, "good": serving_a, "trial": None, "refused": None}


def test_trial_that_ended_with_the_process_before_is_counted_whatever_comes_after(
    vehicle: Vehicle, serving_a: str
) -> None:
    vehicle.stop()
    Store(vehicle.state, RuntimeConfig(), Segmenter.open).begin_trial("b" * 64, 3)
    for _ in range(2):
        vehicle.start()
        vehicle.stop()
    assert vehicle.record()["trial"]["num_attempts"] == 1
