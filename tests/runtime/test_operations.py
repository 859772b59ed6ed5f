"""The page for whoever runs the service, and its systemd unit, against the code they speak of."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import ConfigError, LoopProcessError
from runtime.health.reasons import Reason, state_of
from runtime.supervisor.config import SupervisorConfig
from runtime.swap.background import NICENESS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
UNIT = (ROOT / "docs/iapc-runtime.service").read_text()


def setting(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def test_every_reason_is_explained_with_its_state() -> None:
    told = re.findall(r"^\| ([A-Z_]+) \| (DEGRADED|FAULT) \|", PAGE, re.MULTILINE)
    assert told == [(str(reason.name), state_of(reason).name) for reason in Reason]


def test_exit_statuses_are_explained() -> None:
    told = re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)
    assert told == ["0", "1", "2", "4", "130, 143"]
    assert (ConfigError.exit_status, LoopProcessError.exit_status) == (2, 4)


def test_unit_gives_the_supervisor_the_time_it_takes_by_default() -> None:
    config = SupervisorConfig()
    assert setting("TimeoutStartSec") == "infinity"
    assert float(setting("WatchdogSec")) > config.stop_s
    assert float(setting("TimeoutStopSec")) > config.stop_s
    assert setting("RestartPreventExitStatus") == f"{ConfigError.exit_status} {LoopProcessError.exit_status}"
    assert setting("Type") == "notify"


def test_unit_lets_a_thread_raise_the_priority_that_it_lowered() -> None:
    # RLIMIT_NICE counts from nice 20 down: a limit of 20 allows nice 0, which is where the service starts.
    assert int(setting("LimitNICE")) == 20
    assert 0 < NICENESS < 20


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "iapc-runtime.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "iapc-runtime" in line and "Failed to resolve" not in line]
    assert told == []
