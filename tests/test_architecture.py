"""The shape of the repository: what resolves where, what may import what, and what goes into a vehicle."""

import ast
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("training", "export", "runtime", "benchmarks")


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_resolves_inside_this_repository(stage: str) -> None:
    """`export` and `runtime` are common names: another distribution's package must not be what is tested."""
    spec = find_spec(stage)
    assert spec is not None
    assert spec.origin == str(ROOT / stage / "__init__.py")


@pytest.mark.parametrize("stage", STAGES)
def test_stage_runs_no_code_on_import(stage: str) -> None:
    (docstring,) = ast.parse((ROOT / stage / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)


def test_wheel_holds_the_runtime_and_nothing_else() -> None:
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "runtime").rglob("__init__.py")}
    assert set(pyproject()["tool"]["setuptools"]["packages"]) == packages


def test_vehicle_needs_no_training_library() -> None:
    needed = " ".join(pyproject()["project"]["dependencies"])
    assert not any(name in needed for name in ("torch", "onnx", "safetensors", "tensorrt"))


def test_import_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("runtime/labels.py", "import torch"),
        ("runtime/labels.py", "from training import config"),
        ("training/config.py", "from export import bundle"),
        ("export/bundle.py", "import benchmarks"),
    ],
)
def test_import_contracts_catch_a_wrong_direction(tmp_path: Path, module: str, statement: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file in ("runtime/labels.py", "training/config.py", "export/bundle.py", "benchmarks/latency.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
        (tmp_path / file).with_name("__init__.py").touch()
    assert lint_imports(tmp_path).returncode == 0
    (tmp_path / module).write_text(f"{statement}\n")
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1
    assert "broken" in broken.stdout
