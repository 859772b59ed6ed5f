import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.backends.cores import place_threads, usable_cores

TWO_CORES_OF_TWO = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}

OPEN = """
import os, sys
from pathlib import Path
from runtime.backends.ort import OnnxRuntimeEngine
from runtime.backends.ort_providers import cpu
threads = os.sched_getaffinity(0)
os.sched_setaffinity(0, {max(threads)})
before = set(os.listdir("/proc/self/task"))
engine = OnnxRuntimeEngine(Path(sys.argv[1]), (16, 24), provider=cpu(), threads=int(sys.argv[2]) or None)
workers = set(os.listdir("/proc/self/task")) - before
assert all(os.sched_getaffinity(int(worker)) == {max(threads)} for worker in workers), workers
print(engine._session.get_session_options().intra_op_num_threads)
"""


def describe(folder: Path, cores: dict[int, str]) -> Path:
    for processor, siblings in cores.items():
        topology = folder / f"cpu{processor}" / "topology"
        topology.mkdir(parents=True)
        (topology / "core_cpus_list").write_text(f"{siblings}\n")
    return folder


@pytest.mark.parametrize(
    ("usable", "cores"), [({0, 1, 2, 3}, [[0, 2], [1, 3]]), ({1, 2, 3}, [[1, 3], [2]]), ({3}, [[3]])]
)
def test_processors_of_a_core_count_once_and_only_those_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: set[int], cores: list[list[int]]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    assert usable_cores(describe(tmp_path, TWO_CORES_OF_TWO)) == cores


def test_processors_of_which_the_system_tells_nothing_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 6})
    assert usable_cores(tmp_path) == [[4], [6]]


@pytest.mark.parametrize(
    ("asked", "threads", "affinities"),
    [
        (None, 4, "2,6;3,7;4,8"),
        (4, 4, "2,6;3,7;4,8"),
        (3, 3, "2,6;3,7,4,8"),
        (2, 2, "3,7,4,8"),
        (1, 1, ""),
        (5, 5, ""),
    ],
)
def test_workers_share_the_cores_and_leave_the_first_share_to_the_caller(
    asked: int | None, threads: int, affinities: str
) -> None:
    cores: Sequence[Sequence[int]] = [[0, 4], [1, 5], [2, 6], [3, 7]]
    placement = place_threads(cores, asked)
    assert (placement.threads, placement.affinities) == (threads, affinities)


@pytest.mark.parametrize(("asked", "threads"), [("0", "1"), ("2", "2")])
def test_onnx_runtime_stays_on_the_processors_the_process_was_given(bundle: Path, asked: str, threads: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(bundle / "fp32.onnx"), asked], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == threads
