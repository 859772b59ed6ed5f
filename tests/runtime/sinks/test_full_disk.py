"""Every sink on a disk that is really full: a file system of its own, 1 MiB large, mounted for one child process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOUNT = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -W error "$3" "$1"'


def in_small_disk(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    arguments = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(folder), *command]
    return subprocess.run(
        arguments, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


PROLOGUE = """
import os, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from runtime.errors import DiskFullError
from runtime.health.reasons import OK
from runtime.labels import ClassInfo
from runtime.result import Captured, Counters, Result, Stages

folder = Path(sys.argv[1])
ballast = folder / "ballast"
classes = (ClassInfo(name="road", colour=(128, 64, 128)), ClassInfo(name="car", colour=(0, 0, 142)))
rng = np.random.default_rng(0)

def result(frame_id):
    noise = rng.integers(0, 2, (64, 96), dtype=np.uint8)
    frame = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    return Result(captured=Captured(frame_id, frame_id, f"frame_{frame_id}"), frame=frame, labels=noise,
                  confidence=noise, published_ns=0, deadline_ns=1, stages=Stages(0, 0, 0, 0, 0), health=OK,
                  counters=Counters(), drop_ratio=0.0, bundle_id="")

def fill():
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

def told(call):
    try:
        call()
    except DiskFullError as error:
        assert str(folder) in str(error) and "No space left" in str(error), error
        return True
    return False
"""

FILES = """
from runtime.sinks.npz import NpzSink
from runtime.sinks.pictures import PicturesSink
for sink in (NpzSink(folder), PicturesSink(folder, classes, 0.5)):
    sink.write(result(0))
    fill()
    assert told(lambda: sink.write(result(1)))
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "frame_1"))]
    ballast.unlink()
    sink.write(result(2))
    sink.close()
print(sorted(path.name for path in folder.iterdir()))
"""

LINES = """
import json
from runtime.sinks.json_lines import JsonLinesSink
sink = JsonLinesSink(folder / "results.jsonl", 10**9, classes)
sink.write(result(0))
fill()
numbers = [number for number in range(1, 40) if told(lambda: sink.write(result(number)))]
assert numbers and numbers == list(range(numbers[0], 40)), numbers
ballast.unlink()
sink.write(result(40))
sink.close()
ids = [json.loads(line)["frame_id"] for line in (folder / "results.jsonl").read_text().splitlines()]
print(ids == [*range(numbers[0]), 40])
"""

# Five pictures a second in fragments of two seconds: 0 to 9, 10 to 19, and so on, each written when the next begins.
VIDEO = """
import av
from runtime.sinks.video_writer import VideoWriter

def lost_pictures(path, full_at):
    num_told = 0
    for index in range(80):
        if index == full_at:
            fill()
        if index == 0:
            writer = VideoWriter(path, Fraction(5))
        if index == 55:
            ballast.unlink()
        picture = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        part = path.with_name("drive.part.mp4")
        num_bytes = part.stat().st_size
        if told(lambda: writer.append(picture)):
            num_told += 1
            assert part.stat().st_size == num_bytes, "a torn fragment was left"
    writer.close()
    with av.open(str(path)) as container:
        kept = {round(picture.pts * picture.time_base * 5) for picture in container.decode(video=0)}
    path.unlink()
    return num_told, sorted(set(range(80)) - kept)

assert lost_pictures(folder / "drive.mp4", 25) == (3, list(range(20, 50)))
# The header found no space either, and is written before the first fragment that does.
assert lost_pictures(folder / "drive.mp4", 0) == (6, list(range(50)))
print(list(folder.iterdir()))
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            FILES,
            "['frame_0.npz', 'frame_0_labels.png', 'frame_0_overlay.png', "
            "'frame_2.npz', 'frame_2_labels.png', 'frame_2_overlay.png']",
        ),
        (LINES, "True"),
        (VIDEO, "[]"),
    ],
    ids=["files", "lines", "video"],
)
def test_full_disk_is_told_spoils_nothing_and_is_overcome_once_there_is_space(
    tmp_path: Path, script: str, expected: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "empty.py").touch()
    if in_small_disk(disk, sys.executable, str(tmp_path / "empty.py")).returncode != 0:
        pytest.skip("this system lets nobody mount a small file system")
    (tmp_path / "script.py").write_text(PROLOGUE + script)
    done = in_small_disk(disk, sys.executable, str(tmp_path / "script.py"))
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
