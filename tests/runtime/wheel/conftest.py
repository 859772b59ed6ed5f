"""The wheel, and an environment with nothing but it, one engine and what they need: a vehicle's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_outside(*command: object, cwd: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Away from the checkout, so that nothing of it can be imported."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, done.stderr or done.stdout
    return done


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build in, because setuptools leaves folders behind, and would reuse them."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "runtime", folder / "runtime", ignore=ignored)
    return folder


@pytest.fixture(scope="session")
def wheel(sources: Path) -> Path:
    """Built with the setuptools that is installed here: that needs no index."""
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", ".")
    run_outside(*command, cwd=sources)
    (built,) = (sources / "dist").iterdir()
    return built


@pytest.fixture(scope="session")
def vehicle(wheel: Path, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel, one engine, and what they need."""
    folder = tmp_path_factory.mktemp("vehicle")
    run_outside(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "--retries", "0", "--timeout", "10")
    # Asked for alone, so that a wrong requirement of ours fails, and only an index that is not there skips.
    if run_outside(*pip, "download", "--quiet", "--no-deps", "tqdm", cwd=folder, check=False).returncode != 0:
        pytest.skip("no package index can be reached, and an empty environment needs numpy, pydantic and an engine")
    run_outside(*pip, "install", "--quiet", "--constraint", sources / "constraints.txt", f"{wheel}[cpu]", cwd=folder)
    return folder / "bin"


@pytest.fixture
def run() -> Run:
    """Runs a program away from the checkout; it must end well."""
    return run_outside
