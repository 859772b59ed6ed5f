"""A supervisor with a small real process: each of its lives follows a script."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.supervisor.config import SupervisorConfig
from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.systemd import Systemd

ROOT = Path(__file__).parents[3]
# Each argument is what one life does; the last one is repeated. Lives are counted in a file.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from runtime.supervisor.heartbeat import Heartbeat

lives, *scripts, _, pipe = sys.argv[1:]
heartbeat = Heartbeat(int(pipe))
with Path(lives).open("a") as file:
    file.write(f"{os.getpid()}\\n")
number = len(Path(lives).read_text().splitlines())

def serve(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    heartbeat.ready()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        heartbeat.beat()
        time.sleep(0.01)

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

exec(scripts[min(number, len(scripts)) - 1])
"""

MakeSupervisor = Callable[..., Supervisor]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """The command of the process, to be followed by its scripts."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path), str(tmp_path / "lives")]


@pytest.fixture
def lives(tmp_path: Path) -> Callable[[], list[int]]:
    """The numbers of the processes that were started so far."""
    return lambda: [int(line) for line in (tmp_path / "lives").read_text().splitlines()]


@pytest.fixture
def said() -> list[str]:
    """What the supervisor told."""
    return []


@pytest.fixture
def make_supervisor(program: list[str], said: list[str]) -> MakeSupervisor:
    """A supervisor of lives that follow the scripts, with patience for tests."""

    def make(*scripts: str, address: str = "", **config: float) -> Supervisor:
        patience = {"backoff_s": 0.01, "max_backoff_s": 0.04, "silence_s": 10, "start_s": 10, **config}
        settings = SupervisorConfig.model_validate(patience)
        return Supervisor([*program, *scripts], environment(), settings, Systemd(address), said.append)

    return make
