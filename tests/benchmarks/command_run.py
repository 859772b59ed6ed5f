"""A measurement of the small bundle of the tests, by command line as users run it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.config import BenchmarksConfig
from training.data.config import FramesConfig

__all__ = ["CommandRun", "Exported", "run_command", "short_run", "write_run_file"]

ROOT = Path(__file__).parents[2]


class Exported(NamedTuple):
    """A network file and its bundle."""

    checkpoint: Path
    bundle: Path


class CommandRun(NamedTuple):
    """A command that ended well: its config, the lines on stdout, stderr, and the document it wrote."""

    config: BenchmarksConfig
    lines: list[str]
    told: str
    document: dict[str, Any]

    @property
    def figures(self) -> dict[str, Any]:
        """The key figures, which stdout ends with."""
        return dict(json.loads(self.lines[-1]))

    def row(self, **expected: Any) -> dict[str, Any]:
        """The one row that has these values."""
        rows = self.document["rows"]
        (row,) = (row for row in rows if all(row[key] == value for key, value in expected.items()))
        return dict(row)


def short_run(exported: Exported, frames: FramesConfig, output: Path, **values: Any) -> BenchmarksConfig:
    """Few frames, and one thread: the networks are tiny, and more threads only wait for each other."""
    return BenchmarksConfig(
        bundle=exported.bundle,
        checkpoint=exported.checkpoint,
        frames=frames,
        output=output,
        warmup=1,
        **{"threads": 1, **values},
    )


def write_run_file(path: Path, config: BenchmarksConfig) -> Path:
    """A run file with this section alone."""
    path.write_text(yaml.safe_dump({"benchmarks": config.model_dump(mode="json")}))
    return path


def run_command(name: str, config: BenchmarksConfig, folder: Path, *arguments: str) -> CommandRun:
    """Run `python -m benchmarks NAME` in a process of its own."""
    run_file = write_run_file(folder / "run.yaml", config)
    command = [sys.executable, "-m", "benchmarks", name, str(run_file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return CommandRun(config, lines, done.stderr, json.loads(Path(json.loads(lines[-1])["document"]).read_text()))
