"""A second load on the same cores, which ends with the block that it is for, whatever happens in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import BackendError

__all__ = ["DESCRIPTION", "second_load"]

DESCRIPTION = "a process that multiplies 768x768 float32 matrices without a pause"
ROOT = Path(__file__).parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@contextmanager
def second_load(threads: int) -> Iterator[int]:
    """Inside the block another process computes on the same cores, with so many threads; gives its process id.

    Raises:
        BackendError: it did not start, or ended before the block did: what was measured had no second load.
    """
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    command = [sys.executable, "-m", "benchmarks.scenarios.load"]
    process = subprocess.Popen(  # noqa: S603  # our own command
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise BackendError(
                    f"the second load, `{' '.join(command)}`, did not start: status {process.wait()}; leave contention "
                    "out of scenarios.only, or look at what it wrote to stderr"
                )
            yield process.pid
            if process.poll() is not None:
                raise BackendError(
                    f"the second load ended with status {process.returncode} while it was needed; nothing was measured "
                    "beside it; run again where no one ends processes or takes their memory"
                )
        finally:
            process.kill()
