"""The reference that `make docs` builds: without a warning, and with a page for every module."""

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("runtime", "training", "export", "benchmarks")


def variable(name: str) -> str:
    """Of the Makefile, so that what is checked is what `make docs` runs."""
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(f"{name} := ")]
    return line.partition(" := ")[2]


@pytest.mark.skipif(find_spec("pdoc") is None, reason="pdoc is not installed; the extra dev installs it")
def test_every_module_has_a_page(tmp_path: Path) -> None:
    command = [*shlex.split(variable("PDOC"))[1:], "--output-directory", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command, *shlex.split(variable("DOCUMENTED"))],
        cwd=ROOT,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [str(name) for name in public_modules() if not (tmp_path / f"{name}.html").exists()] == []


def public_modules() -> set[Path]:
    """All but commands, and what a package keeps to itself by listing what is public."""
    modules = [path for stage in STAGES for path in (ROOT / stage).rglob("*.py") if path.name != "__main__.py"]
    private = {
        path for path in modules if path.name != "__init__.py" and "__all__" in read(path.with_name("__init__.py"))
    }
    named = [path.parent if path.name == "__init__.py" else path.with_suffix("") for path in set(modules) - private]
    return {path.relative_to(ROOT) for path in named}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
