"""Throttling, from a tree of files like that of sysfs."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from runtime.health.config import HealthConfig
from runtime.health.gpu_clocks import clocks_problem, unseen_gpus
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.health.throttling import Throttling

Put = Callable[[str, object], None]


@pytest.fixture
def monitor() -> Monitor:
    made = Monitor(HealthConfig(), lambda: 0)
    made.clear(Reason.STARTING)
    return made


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(path: str, content: object) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    return write


def test_counter_that_moves_is_told_until_it_rests(monitor: Monitor, put: Put, tmp_path: Path) -> None:
    for cpu in (0, 1):
        put(f"devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", 7)
    throttling = Throttling(monitor, HealthConfig(), root=tmp_path)
    throttling.check()
    assert monitor.health().reasons == Reason.NONE
    put("devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", 9)
    throttling.check()
    assert monitor.health().reasons == Reason.THROTTLED
    assert monitor.health().details == ("the temperature slowed down cpu1 since the last look",)
    throttling.check()
    assert monitor.health().reasons == Reason.NONE


def test_zone_at_its_trip_point_is_too_hot(monitor: Monitor, put: Put, tmp_path: Path) -> None:
    zone = "class/thermal/thermal_zone0"
    put(f"{zone}/type", "x86_pkg_temp")
    put(f"{zone}/temp", 94_900)
    for number, (kind, limit) in enumerate([("active", 40_000), ("passive", 95_000), ("critical", 0)]):
        put(f"{zone}/trip_point_{number}_type", kind)
        put(f"{zone}/trip_point_{number}_temp", limit)
    throttling = Throttling(monitor, HealthConfig(), root=tmp_path)
    throttling.check()
    assert monitor.health().reasons == Reason.NONE
    put(f"{zone}/temp", 95_000)
    throttling.check()
    assert monitor.health().details == ("too hot: x86_pkg_temp at 95 C, limit 95 C",)


def test_clock_limit_counts_from_what_it_was_at_the_start(monitor: Monitor, put: Put, tmp_path: Path) -> None:
    """An owner who caps the clocks from the outset knows it."""
    limit = "devices/system/cpu/cpu0/cpufreq/scaling_max_freq"
    put("devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", 4_000_000)
    put(limit, 3_000_000)
    throttling = Throttling(monitor, HealthConfig(), root=tmp_path)
    throttling.check()
    assert monitor.health().reasons == Reason.NONE
    put(limit, 1_200_000)
    throttling.check()
    throttling.check()
    assert monitor.health().details == ("greatest clock lowered: cpu0 from 3000 to 1200 MHz",)
    put(limit, 3_000_000)
    throttling.check()
    assert monitor.health().reasons == Reason.NONE


def test_sensor_that_falls_asleep_says_nothing(monitor: Monitor, put: Put, tmp_path: Path) -> None:
    put("class/thermal/thermal_zone0/trip_point_0_type", "hot")
    put("class/thermal/thermal_zone0/trip_point_0_temp", 90_000)
    put("class/thermal/thermal_zone0/temp", 99_000)
    put("class/thermal/thermal_zone0/type", "acpitz")
    throttling = Throttling(monitor, HealthConfig(), root=tmp_path)
    throttling.check()
    assert monitor.health().reasons == Reason.THROTTLED
    (tmp_path / "class/thermal/thermal_zone0/temp").unlink()
    throttling.check()
    assert monitor.health().reasons == Reason.NONE


def test_machine_that_tells_nothing_is_known(monitor: Monitor, tmp_path: Path, put: Put) -> None:
    with Throttling(monitor, HealthConfig(), root=tmp_path) as throttling:
        assert throttling.sources.startswith("cannot be seen")
    put("devices/system/cpu/cpu0/cpufreq/scaling_max_freq", 1)
    assert Throttling(monitor, HealthConfig(), root=tmp_path).sources.startswith("clock limits")


def test_looks_again_and_again_while_it_is_open(put: Put, tmp_path: Path) -> None:
    looked = Event()

    class Ear(Monitor):
        def set(self, reason: Reason, detail: str) -> None:
            looked.set()

    config = HealthConfig(throttle_check_s=0.01)
    count = "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    put(count, 0)
    with Throttling(Ear(config, lambda: 0), config, root=tmp_path):
        put(count, 1)
        assert looked.wait(30)


def test_gpu_reasons_leave_out_what_is_no_trouble() -> None:
    idle_and_asked_for = 0x01 | 0x02
    assert clocks_problem(0, idle_and_asked_for) is None
    assert clocks_problem(1, 0x40 | 0x04) == "GPU 1 has lowered its clocks: power limit, temperature (hardware)"


def test_gpu_that_would_slow_down_unnoticed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidiactl"
    assert unseen_gpus(driver) is None
    driver.touch()
    monkeypatch.setattr("runtime.health.gpu_clocks.find_spec", lambda name: None)
    assert "nvidia-ml-py" in str(unseen_gpus(driver))
