import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from runtime.backends.cores import place_threads, tied_to, usable_cores
from runtime.errors import BackendError

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
TWO_CORES_OF_TWO = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}

OPEN = """
import json, os, sys, time
from pathlib import Path
from runtime.backends.config import CpuConfig, OpenVinoConfig
from runtime.backends.open import open_backend
bundle, engine, threads, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
os.sched_setaffinity(0, given)
before = set(os.listdir("/proc/self/task"))
config = (CpuConfig if engine == "cpu" else OpenVinoConfig)(threads=threads)
opened = open_backend(config, Path(bundle) / "fp32.onnx", (16, 24))
workers = set(os.listdir("/proc/self/task")) - before
expected, until = json.loads(sys.argv[5]), time.monotonic() + 10
# A worker ties itself when it begins to run.
time.sleep(0.5)
while True:
    found = [sorted(os.sched_getaffinity(int(worker))) for worker in workers]
    if expected is None or expected in found or time.monotonic() > until:
        break
    time.sleep(0.05)
print(json.dumps(found))
"""
PROCESSORS = sorted(os.sched_getaffinity(0))


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
    ("asked", "threads", "caller", "affinities"),
    [
        (None, 4, [0, 4], "2,6;3,7;4,8"),
        (4, 4, [0, 4], "2,6;3,7;4,8"),
        (3, 3, [0, 4], "2,6;3-4,7-8"),
        (2, 2, [0, 1, 4, 5], "3-4,7-8"),
        (1, 1, [0, 1, 2, 3, 4, 5, 6, 7], ""),
        (5, 5, [], ""),
    ],
)
def test_workers_share_the_cores_and_leave_the_first_share_to_the_caller(
    asked: int | None, threads: int, caller: list[int], affinities: str
) -> None:
    cores: Sequence[Sequence[int]] = [[0, 4], [1, 5], [2, 6], [3, 7]]
    placement = place_threads(cores, asked)
    assert (placement.threads, list(placement.caller), placement.affinities) == (threads, caller, affinities)


@pytest.mark.skipif(len(PROCESSORS) < 2, reason="needs two processors")
def test_the_caller_is_tied_while_it_computes_and_free_again_after() -> None:
    with tied_to(PROCESSORS[:1]):
        assert os.sched_getaffinity(0) == set(PROCESSORS[:1])
    assert os.sched_getaffinity(0) == set(PROCESSORS)
    with pytest.raises(BackendError), tied_to(PROCESSORS[:1]):
        raise BackendError("the engine failed")
    assert os.sched_getaffinity(0) == set(PROCESSORS)
    with tied_to(PROCESSORS[:1]), tied_to(PROCESSORS):
        assert os.sched_getaffinity(0) == set(PROCESSORS[:1])
    with tied_to([]):
        assert os.sched_getaffinity(0) == set(PROCESSORS)


def processors_of_workers(
    bundle: Path, engine: str, threads: int | None, given: Sequence[int], expected: Sequence[int] | None = None
) -> list[list[int]]:
    """Where an engine's own threads may run, in a process given these processors; waits for what is expected."""
    values = [str(bundle), engine, *(json.dumps(value) for value in (threads, given, expected))]
    done = subprocess.run([sys.executable, "-c", OPEN, *values], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[int]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(len(PROCESSORS) < 2, reason="needs two processors")
@pytest.mark.parametrize("threads", [2, None])
def test_the_worker_of_onnx_runtime_is_tied_to_the_core_that_is_not_the_callers(
    bundle: Path, threads: int | None
) -> None:
    first, second, *_ = usable_cores()
    assert second in processors_of_workers(bundle, "cpu", threads, [*first, *second], second)


@pytest.mark.skipif(len(PROCESSORS) < 2, reason="needs two processors")
@pytest.mark.parametrize("engine", ["cpu", pytest.param("openvino", marks=needs_openvino)])
def test_no_thread_leaves_the_processors_that_the_process_was_given(bundle: Path, engine: str) -> None:
    """The last one alone: ONNX Runtime's own threads, two by default here, would go to another."""
    given = PROCESSORS[-1]
    for threads in (None, 2):
        assert all(found == [given] for found in processors_of_workers(bundle, engine, threads, [given]))
