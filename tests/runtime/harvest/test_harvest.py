import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from runtime.bundle.known import KnownBundles
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of, read_manifest
from runtime.errors import BundleError, ConfigError, DiskFullError, SinkError
from runtime.harvest.config import HarvestConfig
from runtime.harvest.harvest import Harvest
from runtime.health.reasons import OK
from runtime.images import read_image
from runtime.result import Captured, Counters, Result, Stages, Status

FRAME_HW = (16, 24)
SECOND_NS = 1_000_000_000
WALL_S = datetime(2031, 5, 6, 17, 45, 12, tzinfo=UTC).timestamp()
Maps = NDArray[np.uint8]


class Vehicle:
    """Shows frames to a harvest, one every ten seconds."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest, self.now_ns = folder, manifest, 0

    def start(self, **settings: Any) -> Harvest:
        self.known = KnownBundles(self.manifest)
        return Harvest(HarvestConfig(folder=self.folder, **settings), self.known, lambda: WALL_S)

    def show(
        self, harvest: Harvest, frame: Maps, *, sure: int = 100, after_s: float = 10, bundle_id: str | None = None
    ) -> None:
        self.now_ns += int(after_s * SECOND_NS)
        harvest.write(
            Result(
                captured=Captured(1, self.now_ns, "camera-at-my-house"),
                frame=frame,
                labels=frame.argmax(axis=-1).astype(np.uint8),
                confidence=np.full(FRAME_HW, sure, np.uint8),
                published_ns=self.now_ns,
                deadline_ns=1,
                stages=Stages(0, 0, 0, 0, 0),
                health=OK,
                counters=Counters(),
                drop_ratio=0.0,
                bundle_id=bundle_id or bundle_id_of(self.manifest),
            )
        )

    @property
    def frames(self) -> list[Path]:
        return sorted((self.folder / "frames").glob("*"))

    @property
    def num_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def noise(seed: int, low: int = 0, high: int = 256) -> Maps:
    return np.random.default_rng(seed).integers(low, high, (*FRAME_HW, 3), dtype=np.uint8)


@pytest.fixture
def vehicle(bundle: Path, tmp_path: Path) -> Vehicle:
    return Vehicle(tmp_path / "harvest", read_manifest(bundle))


def test_frame_is_kept_as_it_was_with_the_day_and_no_more(vehicle: Vehicle) -> None:
    harvest = vehicle.start()
    vehicle.show(harvest, noise(0))
    (path,) = vehicle.frames
    np.testing.assert_array_equal(read_image(path), noise(0))
    assert path.name == "00000001.png"
    assert path.stat().st_mtime == datetime(2031, 5, 6, tzinfo=UTC).timestamp()
    content = path.read_bytes()
    assert b'"day":"2031-05-06"' in content
    assert b"17:45" not in content
    assert b"my-house" not in content


def test_folder_never_holds_more_than_its_budget(vehicle: Vehicle) -> None:
    harvest, budget = vehicle.start(max_bytes=12_000), 12_000
    for seed in range(40):
        vehicle.show(harvest, noise(seed, high=20 + 5 * seed), sure=20 * (seed % 10))
        assert vehicle.num_bytes <= budget
    # One more would not have fitted.
    assert vehicle.num_bytes > budget - max(path.stat().st_size for path in vehicle.frames) - 200
    assert len(vehicle.frames) > 5


def test_unsure_and_different_frames_stay_and_sure_and_alike_ones_go(vehicle: Vehicle) -> None:
    harvest = vehicle.start(max_bytes=7_000)
    vehicle.show(harvest, noise(1, 0, 40), sure=30)
    vehicle.show(harvest, noise(2, 200, 256), sure=30)
    precious = {path.name for path in vehicle.frames}
    for seed in range(10, 40):
        vehicle.show(harvest, noise(seed, 100, 150), sure=240)
    assert precious < {path.name for path in vehicle.frames}


def test_worthless_frame_evicts_nothing(vehicle: Vehicle) -> None:
    harvest = vehicle.start(max_bytes=7_000)
    for seed in range(20):
        vehicle.show(harvest, noise(seed, high=100 + 7 * seed), sure=30)
    before = vehicle.frames
    vehicle.show(harvest, noise(3, high=121), sure=255)
    assert vehicle.frames == before


def test_looks_are_apart_in_time_and_sure_frames_are_passed_over(vehicle: Vehicle) -> None:
    harvest = vehicle.start(every_s=2.0, min_uncertainty=0.5)
    vehicle.show(harvest, noise(0))
    vehicle.show(harvest, noise(1), after_s=1.9)
    assert len(vehicle.frames) == 1
    vehicle.show(harvest, noise(2), after_s=0.2)
    assert len(vehicle.frames) == 2
    vehicle.show(harvest, noise(3), sure=128)
    assert len(vehicle.frames) == 2


def test_next_start_goes_on_with_what_is_there(vehicle: Vehicle) -> None:
    harvest = vehicle.start(max_bytes=12_000)
    for seed in range(4):
        vehicle.show(harvest, noise(seed, high=50 + 60 * seed))
    harvest.close()
    before = vehicle.frames
    harvest = vehicle.start(max_bytes=12_000)
    vehicle.show(harvest, noise(9))
    assert vehicle.frames[:-1] == before
    assert vehicle.frames[-1].name == "00000005.png"
    smaller = vehicle.start(max_bytes=7_000)
    assert vehicle.num_bytes <= 7_000
    assert 0 < len(vehicle.frames) < 5
    smaller.close()


def test_what_a_crash_left_half_done_is_deleted_and_what_is_someone_elses_is_not(
    vehicle: Vehicle, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle.show(vehicle.start(), noise(0))
    folder = vehicle.folder / "frames"
    half = folder / ".00000002-abcd.png"
    half.write_bytes(vehicle.frames[0].read_bytes()[:100])
    (folder / "00000007.png").write_bytes(b"no picture")
    (folder / "holiday.png").write_bytes(b"mine")
    harvest = vehicle.start()
    vehicle.show(harvest, noise(1))
    assert [path.name for path in vehicle.frames] == ["00000001.png", "00000007.png", "00000008.png", "holiday.png"]
    assert "00000007.png is no frame that was kept by a harvest" in capsys.readouterr().err


def test_private_vehicle_deletes_what_was_kept_and_keeps_nothing(vehicle: Vehicle) -> None:
    vehicle.show(vehicle.start(), noise(0))
    (vehicle.folder / "frames" / "holiday.png").write_bytes(b"mine")
    harvest = vehicle.start(is_private=True)
    vehicle.show(harvest, noise(1))
    harvest.tell(Status(now_ns=0, health=OK))
    harvest.close()
    assert [path.name for path in vehicle.folder.rglob("*") if path.is_file()] == ["holiday.png"]


def test_private_vehicle_makes_no_folder(vehicle: Vehicle) -> None:
    vehicle.show(vehicle.start(is_private=True), noise(0))
    assert not vehicle.folder.exists()


def test_full_disk_is_told_and_leaves_nothing_half_done(vehicle: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    harvest = vehicle.start()
    vehicle.show(harvest, noise(0))

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(DiskFullError, match=r"harvest.* is full .*No space left on device"):
            vehicle.show(harvest, noise(1))
    assert [path.name for path in vehicle.frames] == ["00000001.png"]
    vehicle.show(harvest, noise(2))
    assert [path.name for path in vehicle.frames] == ["00000001.png", "00000002.png"]


def test_full_disk_at_the_start_is_told_at_each_look_until_there_is_room(
    vehicle: Vehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        harvest = vehicle.start()
        for seed in range(2):
            with pytest.raises(DiskFullError, match=r"harvest.* is full"):
                vehicle.show(harvest, noise(seed))
    vehicle.show(harvest, noise(2))
    assert [path.name for path in vehicle.frames] == ["00000001.png"]
    assert (vehicle.folder / "run.yaml").is_file()


def test_start_that_changes_nothing_writes_nothing(vehicle: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    vehicle.start()
    monkeypatch.setattr("runtime.harvest.harvest.write_text", None)
    vehicle.show(vehicle.start(), noise(0))
    assert len(vehicle.frames) == 1


def test_frame_larger_than_the_budget_is_told(vehicle: Vehicle) -> None:
    with pytest.raises(SinkError, match=r"a frame takes \d+ bytes, and runtime\.harvest\.max_bytes=1000 has room for"):
        vehicle.show(vehicle.start(max_bytes=1000), noise(0))


def test_run_file_of_someone_else_is_not_replaced(vehicle: Vehicle) -> None:
    vehicle.folder.mkdir()
    (vehicle.folder / "run.yaml").write_text("training: {}\n")
    for is_private in (False, True):
        with pytest.raises(ConfigError, match=r"has a run\.yaml that no harvest wrote"):
            vehicle.start(is_private=is_private)
    assert (vehicle.folder / "run.yaml").read_text() == "training: {}\n"


def test_bundle_that_does_not_tell_its_origin_is_refused(vehicle: Vehicle) -> None:
    vehicle.manifest = vehicle.manifest.model_copy(update={"provenance": {"export": {"checkpoint": "a"}}})
    with pytest.raises(BundleError, match=r"does not tell provenance\.'network'"):
        vehicle.start()


def test_swapped_bundle_is_the_one_that_is_adapted_next(vehicle: Vehicle) -> None:
    harvest = vehicle.start()
    vehicle.show(harvest, noise(0))
    outputs = [yaml.safe_load((vehicle.folder / "run.yaml").read_text())["training"]["output"]]
    origin = {
        **vehicle.manifest.provenance,
        "checkpoint_sha256": "b6" * 32,
        "export": {"checkpoint": "runs/newer.safetensors"},
    }
    newer = vehicle.manifest.model_copy(update={"provenance": origin})
    with pytest.raises(SinkError, match=r"known are [0-9a-f]{12}; call KnownBundles\.know"):
        vehicle.show(harvest, noise(1), bundle_id=bundle_id_of(newer))
    vehicle.known.know(newer)
    vehicle.show(harvest, noise(2), bundle_id=bundle_id_of(newer))
    document = yaml.safe_load((vehicle.folder / "run.yaml").read_text())
    assert document["training"]["source"] == {"kind": "checkpoint", "path": "runs/newer.safetensors"}
    # Each network that is adapted has a folder of its own: none is written where it is read.
    outputs.append(document["training"]["output"])
    assert outputs == ["$FOLDER/run-a5a5a5a5a5a5", "$FOLDER/run-b6b6b6b6b6b6"]
    assert document["export"]["checkpoint"] == f"{outputs[1]}/adapted.safetensors"
    assert len(vehicle.frames) == 2
