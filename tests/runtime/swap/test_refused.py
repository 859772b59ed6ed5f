"""A bad bundle is refused with a sentence, and the old one serves on."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.drift.features import describe
from runtime.errors import BackendError
from runtime.health.reasons import Reason, State, state_of
from runtime.segmenter import Segmentation
from tests.runtime.swap.altered import altering
from tests.runtime.swap.bundles import OTHER, A, B, id_of, put
from tests.runtime.swap.vehicle import Vehicle, after

MakeBundle = Callable[..., Path]


def refusal(vehicle: Vehicle, serving: str) -> str:
    """Drive until the bundle at the place was refused, and a while longer; gives the sentence."""
    drive, counters = vehicle.drive(lambda: vehicle.why_refused is not None)
    why = vehicle.why_refused
    assert why is not None
    more, _ = vehicle.drive(after(30))
    assert {bundle_id for bundle_id, _, _ in drive.results + more.results} == {serving}
    assert counters.num_withheld == 0
    assert (vehicle.served.num_swaps, vehicle.good) == (0, serving)
    assert more.reasons == Reason.BUNDLE_REFUSED
    assert state_of(more.reasons) is State.DEGRADED
    vehicle.wait_until(lambda: vehicle.copies() == {serving})
    return why


def test_altered_file(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    b = put(make("b", B), vehicle.place)
    with (b / "fp32.onnx").open("r+b") as file:
        file.write(b"\0\0")
    assert "was altered: fp32.onnx has SHA-256" in refusal(vehicle, serving_a)


def test_missing_manifest(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    (put(make("b", B), vehicle.place) / "manifest.json").unlink()
    assert "manifest.json cannot be read" in refusal(vehicle, serving_a)


def test_other_labels_than_at_export(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    put(make("b", B, golden_favour=OTHER), vehicle.place)
    assert "gives other labels here than at export" in refusal(vehicle, serving_a)


def test_other_classes(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    names = ("road", "car", "sky")
    classes = [{"name": name, "colour": [0, 0, 0]} for name in names]
    statistics = {"mean": 0.0, "spread": 0.0, "low": 0.0, "high": 0.0}
    features = {feature.key: statistics for feature in describe(names)}
    reference = {"num_frames": 1, "num_independent": 1.0, "share_outside": 0.0, "features": features}
    put(make("b", B, manifest={"classes": classes, "reference": reference}), vehicle.place)
    assert "its classes are road, car, sky, and those in service road, sky, car" in refusal(vehicle, serving_a)


def test_other_frame_size(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    put(make("b", B, manifest={"frame_height": 32}), vehicle.place)
    assert "takes frames of 24x32, and the bundle in service takes 24x16" in refusal(vehicle, serving_a)


def test_disagreement(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    put(make("b", OTHER), vehicle.place)
    why = refusal(vehicle, serving_a)
    assert "on 5 live frames 3" in why
    assert "of the labels agree" in why
    assert "swap.min_agreement is 60.0%" in why


def test_confidence_that_only_nan_gives(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    put(make("b", B, confidence=0.25), vehicle.place)
    assert "network's output is NaN or infinite there" in refusal(vehicle, serving_a)


def start_with(vehicle: Vehicle, make: MakeBundle, alter: Callable[[int, Segmentation], Segmentation]) -> str:
    """Serves A; B, which comes next, is altered."""
    put(make("a", A), vehicle.place)
    b = make("b", B)
    vehicle.open_segmenter = altering(id_of(b), alter)
    a = vehicle.start().bundle_id
    put(b, vehicle.place)
    return a


def test_output_that_does_not_follow_the_frame(vehicle: Vehicle, make: MakeBundle) -> None:
    kept: list[Segmentation] = []

    def freeze(_: int, segmentation: Segmentation) -> Segmentation:
        if not kept:
            kept.append(Segmentation(segmentation.labels.copy(), segmentation.confidence.copy(), 0, 1))
        return kept[0]

    vehicle.swap["min_agreement"] = 0.0
    assert "the very same labels and confidence" in refusal(vehicle, start_with(vehicle, make, freeze))


def test_engine_that_fails_on_a_live_frame(vehicle: Vehicle, make: MakeBundle) -> None:
    def fail(_: int, segmentation: Segmentation) -> Segmentation:
        raise BackendError("out of memory on the device")

    assert "out of memory on the device" in refusal(vehicle, start_with(vehicle, make, fail))


def test_copy_for_which_there_is_no_room(
    vehicle: Vehicle, serving_a: str, make: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_half(path: Path, to: Path) -> None:
        to.write_bytes(path.read_bytes()[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("runtime.swap.store._copy", copy_half)
    put(make("b", B), vehicle.place)
    assert "No space left on device); make room" in refusal(vehicle, serving_a)


def test_slow_bundle(vehicle: Vehicle, make: MakeBundle) -> None:
    def wait(_: int, segmentation: Segmentation) -> Segmentation:
        time.sleep(0.02)
        return Segmentation(segmentation.labels, segmentation.confidence, 0, segmentation.infer_ns + 20_000_000)

    vehicle.swap["max_slowdown"] = 3.0
    why = refusal(vehicle, start_with(vehicle, make, wait))
    assert "swap.max_slowdown is 3 times" in why
    assert "a frame takes 2" in why


def test_refused_bundle_is_tried_again_only_when_it_changes(
    vehicle: Vehicle, serving_a: str, make: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    put(make("b", OTHER), vehicle.place)
    refusal(vehicle, serving_a)
    assert capsys.readouterr().err.count("is on trial") == 1
    put(make("c", B), vehicle.place)
    vehicle.drive(lambda: vehicle.good != serving_a)
    assert vehicle.why_refused is None


def test_damaged_file_that_is_repaired_in_place_is_seen(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    b = put(make("b", B), vehicle.place)
    network = (b / "fp32.onnx").read_bytes()
    (b / "fp32.onnx").write_bytes(network[::-1])
    refusal(vehicle, serving_a)
    (b / "fp32.onnx").write_bytes(network)
    vehicle.drive(lambda: vehicle.good == id_of(b))
    assert vehicle.why_refused is None
