import subprocess
import sys
from pathlib import Path
from time import monotonic_ns

from runtime.service.cold_start import ColdStart

ROOT = Path(__file__).parents[3]


def test_stages_add_up_to_the_time_since_the_process_was_started() -> None:
    code = """
import time
time.sleep(0.2)
from runtime.service.cold_start import ColdStart
start = ColdStart()
start.passed("before")
time.sleep(0.05)
start.passed("bundle", {"load": 30_000_000})
stages = start.stages_s()
assert list(stages) == ["before", "load", "bundle"], stages
assert stages["load"] == 0.03, stages
assert stages["bundle"] >= 0.019, stages
print(sum(stages.values()))
"""
    began_ns = monotonic_ns()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    took_s = (monotonic_ns() - began_ns) / 1e9
    # The kernel counts in hundredths of a second.
    assert 0.23 <= float(done.stdout) <= took_s + 0.02


def test_summary_is_one_line() -> None:
    start = ColdStart()
    start.passed("config")
    seconds = start.stages_s()["config"]
    assert start.summary().endswith(f"s: config {seconds:.2f}")
