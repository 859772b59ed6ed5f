"""The wheel in an empty environment, as a vehicle gets it: it opens a bundle and segments a frame, without torch."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.images import write_png

Run = Callable[..., Any]
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
    run: Run,
    vehicle: Path,
    bundle: Path,
    striped_frame: NDArray[np.uint8],
    striped_labels: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "frame.npy", striped_frame)
    program = tmp_path / "segment.py"
    program.write_text(SEGMENT)
    run(vehicle / "python", program, bundle, tmp_path / "frame.npy", tmp_path / "labels.npy", *NEVER, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), striped_labels)


def test_command_is_installed_and_segments_a_picture(
    run: Run,
    vehicle: Path,
    bundle: Path,
    striped_frame: NDArray[np.uint8],
    striped_labels: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    write_png(tmp_path / "frame.png", striped_frame)
    done = run(vehicle / "iapc-runtime", "segment", bundle, "frame.png", "--output", "out", cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])["frames"] == 1
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/frame_labels.png")), striped_labels)


@pytest.mark.skipif(shutil.which("cc") is None, reason="the ring needs a C compiler at installation")
def test_container_is_healthy_while_results_are_fresh(
    vehicle: Path, bundle: Path, striped_frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    """The commands of docker/runtime.Dockerfile, run file apart."""
    ring = f"test-{uuid4()}"
    (tmp_path / "frames").mkdir()
    # Two, because a camera that gives the very same pixels again and again is a fault.
    write_png(tmp_path / "frames/0.png", striped_frame)
    write_png(tmp_path / "frames/1.png", striped_frame[:, ::-1].copy())
    source = {"kind": "folder", "path": str(tmp_path / "frames"), "rate_hz": 20, "is_repeated": True}
    runtime = {"bundle": str(bundle), "source": source, "sinks": [{"kind": "ring", "name": ring}], "live": None}
    (tmp_path / "run.yaml").write_text(json.dumps({"runtime": runtime}))
    program = str(vehicle / "iapc-runtime")
    with subprocess.Popen([program, "serve", "run.yaml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as serving:
        end_s = monotonic() + 30
        try:
            while subprocess.run([program, "watch", ring, "--once"], capture_output=True).returncode != 0:
                assert monotonic() < end_s
                assert serving.poll() is None
        finally:
            serving.terminate()
            serving.communicate(timeout=30)
    assert serving.returncode == 0
    assert subprocess.run([program, "watch", ring, "--once"], capture_output=True).returncode == 1


def test_environment_has_no_conflict(run: Run, vehicle: Path, tmp_path: Path) -> None:
    run(vehicle / "python", "-m", "pip", "check", cwd=tmp_path)
