"""From the start of a process until it serves: `python -m runtime serve`, several times, one after the other."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.contenders import Frame
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.loop.document import Start
from runtime.command import progress
from runtime.errors import BackendError
from runtime.images import write_png

__all__ = ["measure_start"]


def measure_start(bundle: Path, frames: Sequence[Frame], config: LoopBenchmarkConfig) -> Start:
    """Medians over `config.num_starts` processes; the files lie in the system's memory from the second one on.

    Raises:
        BackendError: a process failed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_png(folder / "frame.png", frames[0])
        starts = [_start(bundle, folder, config) for _ in progress(range(config.num_starts), title="start", unit="")]
    return Start(
        num_processes=len(starts),
        ready_ms=float(np.median([sum(stages.values()) for stages in starts])),
        stages_ms={stage: float(np.median([stages[stage] for stages in starts])) for stage in starts[0]},
    )


def _start(bundle: Path, folder: Path, config: LoopBenchmarkConfig) -> dict[str, float]:
    backend = config.backend.model_dump(mode="json", exclude_none=True)
    settings = {
        "bundle": str(bundle),
        "source": json.dumps({"kind": "folder", "path": str(folder)}),
        "live": "null",
        "drift": "null",
        "backend": json.dumps(backend),
        **({} if config.artefact is None else {"artefact": config.artefact}),
    }
    command = [sys.executable, "-m", "runtime", "serve", "--unsupervised"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
    if done.returncode != 0:
        raise BackendError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    stages_s: dict[str, float] = json.loads(done.stdout.splitlines()[-1])["cold_start_s"]
    return {stage: seconds * 1e3 for stage, seconds in stages_s.items()}
