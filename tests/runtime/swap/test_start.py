"""What serves first, and what is said where the good copy, the record or the bundle is damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.backends.config import AutoConfig
from runtime.bundle.opening import read_manifest
from runtime.errors import BundleError, ConfigError
from runtime.health.reasons import State
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from runtime.swap.config import SwapConfig
from runtime.swap.open import open_served
from runtime.swap.served import Served
from runtime.swap.store import Store
from runtime.swap.swapping import SwappingServed
from tests.runtime.swap.bundles import A, B, id_of, put
from tests.runtime.swap.vehicle import Vehicle, new_monitor

MakeBundle = Callable[..., Path]


def test_without_a_swap_group_one_bundle_is_served(bundle: Path) -> None:
    served = open_served(RuntimeConfig(bundle=bundle), new_monitor())
    assert type(served) is Served
    assert (served.bundle_id, served.num_swaps) == (id_of(bundle), 0)
    served.close()


def test_with_a_swap_group_it_can_change(bundle: Path, tmp_path: Path) -> None:
    config = RuntimeConfig(bundle=bundle, swap=SwapConfig(state=tmp_path / "state"))
    served = open_served(config, new_monitor())
    assert isinstance(served, SwappingServed)
    assert (tmp_path / "state" / served.bundle_id / "fp32.onnx").exists()
    served.close()
    served.close()


@pytest.mark.parametrize(("has_another_artefact", "num_races"), [(False, 1), (True, 2)])
def test_engine_in_which_a_bundle_was_proven_serves_it_after_a_restart(
    vehicle: Vehicle,
    make: MakeBundle,
    add_artefact: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    has_another_artefact: bool,
    num_races: int,
) -> None:
    auto = AutoConfig(race_s=0.01, cache=tmp_path / "races.json", threads=1)
    config = RuntimeConfig(backend=auto)
    a, b = make("a", A), make("b", B)
    if has_another_artefact:
        add_artefact(b, "fp32-too.onnx", (b / "fp32.onnx").read_bytes())
    store = Store(vehicle.state, config, Segmenter.open)
    for bundle in (a, b):
        store.take_in(bundle, read_manifest(bundle), id_of(bundle))
        store.open(id_of(bundle)).close()
        store.promote(id_of(bundle))
    Store(vehicle.state, config, Segmenter.open).open(id_of(b)).close()
    assert capsys.readouterr().err.count("engines for ") == num_races


def test_missing_bundle_is_named() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.bundle is missing"):
        open_served(RuntimeConfig(), new_monitor())


def test_state_folder_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    config = RuntimeConfig(bundle=bundle, swap=SwapConfig(state=tmp_path / "state"))
    with pytest.raises(ConfigError, match="state cannot be written"):
        open_served(config, new_monitor())


def test_first_start_with_a_damaged_bundle_raises(vehicle: Vehicle, make: MakeBundle) -> None:
    put(make("a", A), vehicle.place)
    (vehicle.place / "fp32.onnx").unlink()
    with pytest.raises(BundleError, match=r"fp32\.onnx is missing"):
        vehicle.start()


def test_bundle_that_came_between_two_starts_has_its_trial(vehicle: Vehicle, serving_a: str, make: MakeBundle) -> None:
    vehicle.stop()
    b = id_of(put(make("b", B), vehicle.place))
    assert vehicle.start().bundle_id == serving_a
    vehicle.drive(lambda: vehicle.good == b)


def test_good_copy_serves_where_the_bundle_is_gone(vehicle: Vehicle, serving_a: str) -> None:
    vehicle.stop()
    vehicle.place.rename(vehicle.place.with_name("gone"))
    assert vehicle.start().bundle_id == serving_a
    # No longer STARTING, which is a fault.
    vehicle.drive(lambda: vehicle.why_refused is not None and vehicle.monitor.health().state is State.DEGRADED)
    assert "manifest.json cannot be read" in str(vehicle.why_refused)


def test_damaged_copy_is_replaced_by_the_bundle(
    vehicle: Vehicle, serving_a: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle.stop()
    (vehicle.state / serving_a / "fp32.onnx").write_bytes(b"")
    assert vehicle.start().bundle_id == serving_a
    assert "the copy of the last good bundle cannot be served" in capsys.readouterr().err
    vehicle.served.restart()


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": 1, "good": "../../etc"}', '{"schema_version": 2}'])
def test_damaged_record_is_told_and_replaced(
    vehicle: Vehicle, serving_a: str, content: str, make: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle.stop()
    b = id_of(put(make("b", B), vehicle.place))
    (vehicle.state / "state.json").write_text(content)
    assert vehicle.start().bundle_id == b
    assert "state.json cannot be read" in capsys.readouterr().err
    assert vehicle.record()["good"] == b


def test_damaged_copy_and_damaged_bundle_are_an_error(vehicle: Vehicle, serving_a: str) -> None:
    vehicle.stop()
    (vehicle.state / serving_a / "fp32.onnx").write_bytes(b"")
    (vehicle.place / "fp32.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="was altered"):
        vehicle.start()


def test_refused_bundle_does_not_serve_where_the_good_copy_is_damaged(
    vehicle: Vehicle, serving_a: str, make: MakeBundle
) -> None:
    b = id_of(put(make("b", B), vehicle.place))
    vehicle.stop()
    vehicle.store.refuse(b, "it crashed")
    (vehicle.state / serving_a / "fp32.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="it crashed"):
        vehicle.start()


def test_files_of_others_in_the_state_folder_are_left_alone(vehicle: Vehicle, serving_a: str) -> None:
    vehicle.stop()
    for name in ("notes", "incoming", "0" * 64):
        (vehicle.state / name).mkdir()
    vehicle.start()
    vehicle.wait_until(lambda: vehicle.copies() == {serving_a, "notes"})
