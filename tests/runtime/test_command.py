import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import errors
from runtime.command import inner_progress, progress, run_command, say

ROOT = Path(__file__).parents[2]


def test_figures_become_the_last_line_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: {"miou": 71.5, "output": "runs/a"}) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"miou": 71.5, "output": "runs/a"}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (name, {"ConfigError": 2, "MissingPackageError": 2, "GateError": 3, "LoopProcessError": 4}.get(name, 1))
        for name in errors.__all__
    ],
)
def test_each_error_has_its_exit_status_and_one_sentence(
    name: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> dict[str, object]:
        raise getattr(errors, name)("frame 3 is missing")

    assert run_command(fail) == status
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: frame 3 is missing\n")


def test_refusal_that_left_something_written_still_ends_with_its_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> dict[str, object]:
        raise errors.GateError("int8-cpu.onnx was refused", figures={"bundle": "runs/a"})

    assert run_command(refuse) == 3
    assert capsys.readouterr() == ('{"bundle": "runs/a"}\n', "error: int8-cpu.onnx was refused\n")
    monkeypatch.setenv("RANK", "1")
    assert run_command(refuse) == 3
    assert capsys.readouterr().out == ""


def test_interrupt_exits_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> dict[str, object]:
        raise KeyboardInterrupt

    assert run_command(interrupt) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_bars_inside_a_counted_piece_of_work_stay_out_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with inner_progress():
        assert list(progress([1, 2], title="inner", unit="step")) == [1, 2]
    assert capsys.readouterr().err == ""
    assert list(progress([1, 2], title="outer", unit="cell")) == [1, 2]
    assert "outer: 100%" in capsys.readouterr().err


def test_what_is_said_while_a_bar_is_shown_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with progress([1], title="bar", unit="cell"):
        say("first cell")
    assert "first cell\n" in capsys.readouterr().err.replace("\r", "\n")


def test_bug_keeps_its_traceback() -> None:
    def divide() -> dict[str, object]:
        return {"ratio": 1 / 0}

    with pytest.raises(ZeroDivisionError):
        run_command(divide)


def test_nan_never_reaches_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_command(lambda: {"miou": float("nan")})
    assert capsys.readouterr().out == ""


def test_only_the_first_process_speaks_but_each_tells_its_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> dict[str, float]:
        raise errors.ConfigError("wrong")

    monkeypatch.setenv("RANK", "1")
    say("a word")
    assert list(progress([1, 2], title="title", unit="item")) == [1, 2]
    assert run_command(lambda: {"figure": 1}) == 0
    assert capsys.readouterr() == ("", "")
    assert run_command(fail) == 2
    assert capsys.readouterr().err == "error: wrong\n"
    monkeypatch.setenv("RANK", "0")
    assert run_command(lambda: {"figure": 1}) == 0
    assert capsys.readouterr().out == '{"figure": 1}\n'


WORK = """
import sys
from runtime.command import run_command, say

def work():
    say("begun")
    say("done")
    return {"figure": 1}

sys.exit(run_command(work))
"""


@pytest.mark.parametrize(
    ("redirected", "status", "out", "err"),
    [
        ("2>&-", 0, '{"figure": 1}\n', ""),
        ("2>/dev/full", 0, '{"figure": 1}\n', ""),
        (">&-", 0, "", "begun\ndone\n"),
        ("<&- >&- 2>&-", 0, "", ""),
        (">/dev/full", 1, "", "begun\ndone\nerror: the figures cannot be written to stdout"),
    ],
)
def test_work_is_done_whoever_listens(redirected: str, status: int, out: str, err: str) -> None:
    command = ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, WORK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, out)
    assert done.stderr.startswith(err)
    assert bool(done.stderr) == bool(err)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_reader_that_left_changes_no_exit_status(stream: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    other = "stderr" if stream == "stdout" else "stdout"
    streams = {stream: writing, other: subprocess.PIPE}
    try:
        done = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, text=True, check=False, **streams)  # type: ignore[call-overload]
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert getattr(done, other) == {"stdout": '{"figure": 1}\n', "stderr": "begun\ndone\n"}[other]
