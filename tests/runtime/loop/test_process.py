"""Affinity and priority, each tried in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def prepared(config: str) -> subprocess.CompletedProcess[str]:
    code = f"""
import os, sys
from threading import Thread
from runtime.errors import ConfigError
from runtime.loop.config import LoopConfig
from runtime.loop.process import prepare_process
try:
    prepare_process(LoopConfig({config}))
except ConfigError as error:
    sys.exit(str(error))
def show():
    print(sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0) == os.SCHED_FIFO, "numpy" in sys.modules)
thread = Thread(target=show)
thread.start()
thread.join()
"""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_threads_inherit_the_processors_which_are_set_before_numpy_is_loaded() -> None:
    cpu = max(os.sched_getaffinity(0))
    assert prepared(f"cpus=({cpu},)").stdout == f"[{cpu}] False False\n"


@pytest.mark.parametrize("cpus", ["(0, 1000)", "()"])
def test_processor_that_is_not_there_is_refused(cpus: str) -> None:
    done = prepared(f"cpus={cpus}")
    assert done.returncode == 1
    assert f"this process may use {sorted(os.sched_getaffinity(0))}" in done.stderr


def test_priority_is_given_or_refused_with_what_it_needs() -> None:
    done = prepared("priority=5")
    if done.returncode == 0:
        assert " True " in done.stdout
    else:
        assert "LimitRTPRIO=5" in done.stderr
