"""The Dockerfiles: hadolint finds nothing, and what they name is there. No image is built: there may be no engine."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from runtime.__main__ import main

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
HADOLINT = shutil.which("hadolint", path=str(ROOT / "build/tools/bin")) or shutil.which("hadolint")


def instructions(file: Path, name: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.lstrip().startswith(f"{name} ")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed; `make check` installs it")
def test_hadolint_finds_nothing(file: Path) -> None:
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_copied_is_there(file: Path) -> None:
    for copied in instructions(file, "COPY"):
        *sources, _ = [part for part in copied.split() if not part.startswith("--chown")]
        for source in sources if not copied.startswith("--from") else []:
            assert (ROOT / source).exists(), f"{file.name}: COPY {source}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_python_is_the_one_that_is_supported(file: Path) -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={instructions(file, 'ARG')[0].removeprefix('PYTHON=')}" == required


def test_runtime_has_no_rights_and_ends_in_order() -> None:
    (file,) = [file for file in FILES if file.name == "runtime.Dockerfile"]
    assert [user for user in instructions(file, "USER") if user.startswith("0") or "root" in user] == []
    assert instructions(file, "USER")[-1] == "10001:10001"
    assert instructions(file, "STOPSIGNAL") == ["SIGTERM"]


def test_health_is_asked_by_a_command_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = [file for file in FILES if file.name == "runtime.Dockerfile"]
    (check,) = instructions(file, "HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    # There is no ring of that name here: the command is known, looks, and says so.
    assert main([arguments[0], "no-such-ring", *arguments[2:]]) == 1
    assert "no-such-ring" in capsys.readouterr().err


def test_an_image_gets_no_data_network_or_key() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", "runs", "data", "checkpoints", "keys", "**/*.pem"} <= set(ignored)
