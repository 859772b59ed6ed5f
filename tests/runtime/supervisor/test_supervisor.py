"""Lives and deaths of a real process, and what the supervisor makes of each."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest

from runtime.errors import ConfigError, LoopProcessError
from runtime.supervisor.supervisor import Supervisor

MakeSupervisor = Callable[..., Supervisor]
Lives = Callable[[], list[int]]
ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = monotonic() + timeout_s
    while not condition():
        assert monotonic() < deadline, "it did not happen"
        sleep(0.005)


def signal_when(condition: Callable[[], bool], number: signal.Signals) -> Thread:
    """Sends this process a signal as soon as the condition holds."""

    def send() -> None:
        until(condition)
        os.kill(os.getpid(), number)

    thread = Thread(target=send)
    thread.start()
    return thread


def test_process_that_is_done_is_not_started_again(make_supervisor: MakeSupervisor, lives: Lives) -> None:
    make_supervisor("serve(0.05)").run()
    assert len(lives()) == 1


def test_refused_config_is_not_tried_again(make_supervisor: MakeSupervisor, lives: Lives) -> None:
    with pytest.raises(ConfigError, match="refused its config or bundle"):
        make_supervisor("sys.exit(2)").run()
    assert len(lives()) == 1


def test_killed_process_is_started_again(make_supervisor: MakeSupervisor, lives: Lives, said: list[str]) -> None:
    make_supervisor("serve(0); os.kill(os.getpid(), signal.SIGKILL)", "serve(0)").run()
    assert len(set(lives())) == 2
    assert any("was ended by SIGKILL; restart 1 of 10 in 0.01 s" in text for text in said)


def test_gives_up_after_restarts_whose_waits_double(
    make_supervisor: MakeSupervisor, lives: Lives, said: list[str]
) -> None:
    with pytest.raises(LoopProcessError, match=r"exit status 1; gave up after 4 restarts") as caught:
        make_supervisor("sys.exit(1)", max_restarts=4).run()
    assert caught.value.exit_status == 4
    assert len(lives()) == 5
    waits = [text.rpartition(" in ")[2] for text in said if "restart " in text]
    assert waits == ["0.01 s", "0.02 s", "0.04 s", "0.04 s"]


def test_good_service_in_between_makes_restarts_count_anew(make_supervisor: MakeSupervisor, lives: Lives) -> None:
    failing = "serve(0.2); sys.exit(1)"
    make_supervisor(failing, failing, failing, "serve(0)", max_restarts=1, settled_s=0.05).run()
    assert len(lives()) == 4


def test_process_that_falls_silent_is_killed_unasked_and_started_again(
    make_supervisor: MakeSupervisor, lives: Lives, said: list[str], tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    script = f"""
signal.signal(signal.SIGTERM, lambda *_: Path({str(asked)!r}).touch())
heartbeat.ready()
time.sleep(60)
"""
    make_supervisor(script, "serve(0)", silence_s=0.3, stop_s=1).run()
    assert len(lives()) == 2
    assert not asked.exists()
    assert any("gave no sign of life for 0.3 s and was killed" in text for text in said)


def test_process_that_is_never_ready_is_killed_though_it_lives(
    make_supervisor: MakeSupervisor, lives: Lives, said: list[str]
) -> None:
    make_supervisor("time.sleep(60)", "serve(0)", start_s=1.5).run()
    assert len(lives()) == 2
    assert any("was not ready for 1.5 s" in text for text in said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_passed_on_and_waits_for_the_end(
    make_supervisor: MakeSupervisor, tmp_path: Path, number: signal.Signals
) -> None:
    mark = tmp_path / "mark"
    script = f"""
def finish(*_):
    Path({str(mark)!r}).write_text("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
heartbeat.ready()
Path({str(mark)!r}).write_text("serving")
time.sleep(60)
"""
    sender = signal_when(lambda: mark.is_file() and mark.read_text() == "serving", number)
    make_supervisor(script).run()
    sender.join()
    assert mark.read_text() == "finished"


def test_stop_before_the_process_is_ready_is_a_good_end(make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
    sender = signal_when((tmp_path / "lives").exists, signal.SIGTERM)
    make_supervisor("time.sleep(60)").run()
    sender.join()


def test_process_that_must_be_killed_at_the_stop_is_told(make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"deaf(); heartbeat.ready(); Path({str(mark)!r}).touch(); time.sleep(60)"
    sender = signal_when(mark.exists, signal.SIGTERM)
    with pytest.raises(LoopProcessError, match="ended by SIGKILL when it was stopped; files that it had not finished"):
        make_supervisor(script, stop_s=0.1).run()
    sender.join()


def test_process_that_says_what_failed_at_the_stop_is_not_said_to_lose_files(
    make_supervisor: MakeSupervisor, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    script = f"""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
heartbeat.ready()
Path({str(mark)!r}).touch()
time.sleep(60)
"""
    sender = signal_when(mark.exists, signal.SIGTERM)
    with pytest.raises(LoopProcessError, match=r"exit status 1 when it was stopped; what it told is above$"):
        make_supervisor(script).run()
    sender.join()


def test_stop_ends_the_wait_before_a_restart(make_supervisor: MakeSupervisor, lives: Lives, said: list[str]) -> None:
    sender = signal_when(lambda: any("restart 1" in text for text in said), signal.SIGTERM)
    make_supervisor("sys.exit(1)", backoff_s=60, max_backoff_s=60).run()
    sender.join()
    assert len(lives()) == 1


def test_process_does_not_outlive_a_killed_supervisor(program: list[str], lives: Lives, tmp_path: Path) -> None:
    command = [*program, "deaf(); heartbeat.ready(); time.sleep(60)"]
    code = f"""
import os
from runtime.supervisor.config import SupervisorConfig
from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.systemd import Systemd
Supervisor({command!r}, os.environ, SupervisorConfig(), Systemd(), print).run()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL) as supervisor:
        until(lambda: (tmp_path / "lives").is_file() and bool(lives()))
        supervisor.kill()
    (pid,) = lives()
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_supervisor_lives_without_numpy_and_engines() -> None:
    code = """
import sys
for name in ("numpy", "onnxruntime", "openvino", "tensorrt", "av", "PIL"):
    sys.modules[name] = None
import runtime.commands.serve
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
