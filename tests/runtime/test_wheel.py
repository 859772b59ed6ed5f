"""The wheel in an empty environment, as a vehicle gets it: it opens a bundle and segments a frame, without torch."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.images import write_png

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt")
NEVER = ("torch", "torchvision", "onnx", "safetensors", "training", "export", "benchmarks")
SEGMENT = """
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import runtime
from runtime.segmenter import Segmenter

bundle, frame, labels, *never = sys.argv[1:]
assert Path(runtime.__file__).is_relative_to(sys.prefix), runtime.__file__
assert [name for name in never if find_spec(name)] == []
with Segmenter.open(Path(bundle)) as segmenter:
    np.save(labels, segmenter.segment(np.load(frame)).labels)
"""

pytestmark = pytest.mark.index


def run(*command: object, cwd: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
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
    run(*command, cwd=sources)
    (built,) = (sources / "dist").iterdir()
    return built


@pytest.fixture(scope="session")
def vehicle(wheel: Path, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel, one engine, and what they need."""
    folder = tmp_path_factory.mktemp("vehicle")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "--retries", "0", "--timeout", "10")
    # Asked for alone, so that a wrong requirement of ours fails, and only an index that is not there skips.
    if run(*pip, "download", "--quiet", "--no-deps", "tqdm", cwd=folder, check=False).returncode != 0:
        pytest.skip("no package index can be reached, and an empty environment needs numpy, pydantic and an engine")
    run(*pip, "install", "--quiet", "--constraint", sources / "constraints.txt", f"{wheel}[cpu]", cwd=folder)
    return folder / "bin"


def test_wheel_holds_the_runtime_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"runtime", "iapc"}
    assert {"runtime/py.typed", "runtime/ring/iapc_ring.h", "runtime/live/page/index.html"} <= set(names)
    if shutil.which("cc"):
        compiled = {Path(name).parent.name for name in names if name.endswith(".so")}
        assert compiled == {"tail", "ring"}
        assert "-cp311-abi3-" in wheel.name


def test_frame_is_segmented_in_an_empty_environment(
    vehicle: Path, bundle: Path, striped_frame: NDArray[np.uint8], striped_labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    np.save(tmp_path / "frame.npy", striped_frame)
    program = tmp_path / "segment.py"
    program.write_text(SEGMENT)
    run(vehicle / "python", program, bundle, tmp_path / "frame.npy", tmp_path / "labels.npy", *NEVER, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), striped_labels)


def test_command_is_installed_and_segments_a_picture(
    vehicle: Path, bundle: Path, striped_frame: NDArray[np.uint8], striped_labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    write_png(tmp_path / "frame.png", striped_frame)
    done = run(vehicle / "iapc-runtime", "segment", bundle, "frame.png", "--output", "out", cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])["frames"] == 1
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/frame_labels.png")), striped_labels)


def test_environment_has_no_conflict(vehicle: Path, tmp_path: Path) -> None:
    run(vehicle / "python", "-m", "pip", "check", cwd=tmp_path)
