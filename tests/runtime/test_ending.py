"""A process ends with its own status, whatever a thread that was left behind is doing."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import atexit
from threading import Event, Thread
from runtime.ending import end_process, leave_behind

event = Event()
thread = Thread(target=event.wait, daemon=True)
thread.start()
atexit.register(print, "taken apart", flush=True)
leave_behind(thread)
{then}
end_process(3)
"""


def run(then: str) -> tuple[int, str]:
    command = [sys.executable, "-c", SCRIPT.format(then=then)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_thread_left_behind_does_not_see_the_process_taken_apart() -> None:
    assert run("") == (3, "")


def test_thread_that_ended_after_all_is_no_reason_to_hurry() -> None:
    assert run("event.set(); thread.join()") == (0, "taken apart")
