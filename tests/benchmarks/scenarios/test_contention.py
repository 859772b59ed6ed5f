import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scenarios import contention as room
from benchmarks.scenarios.config import ContentionConfig
from benchmarks.scenarios.contention import measure_contention
from benchmarks.scenarios.second_load import second_load
from runtime.errors import BackendError, GateError
from runtime.segmenter import Segmenter

ROOT = Path(__file__).parents[3]
MakeSegmenter = Callable[..., Segmenter]


def is_running(pid: int) -> bool:
    """Whether the process computes; one that ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while is_running(pid):
        time.sleep(0.01)


def test_second_load_ends_with_its_block_and_after_an_error_in_it() -> None:
    with second_load(1) as pid:
        assert is_running(pid)
    assert not is_running(pid)
    with pytest.raises(ZeroDivisionError), second_load(1) as pid:
        raise ZeroDivisionError
    assert not is_running(pid)


def test_second_load_ends_when_its_parent_is_gone() -> None:
    script = (
        "import os\n"
        "from benchmarks.scenarios.second_load import second_load\n"
        "with second_load(1) as pid:\n"
        "    print(pid, flush=True)\n"
        "    os._exit(9)\n"
    )
    # Not captured: the load would keep the pipe of stderr open for as long as it lives.
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 9
    pid = int(done.stdout)
    for _ in range(600):
        if not is_running(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the second load outlives its parent")


def test_a_second_load_that_was_ended_is_no_second_load() -> None:
    with pytest.raises(BackendError, match="ended with status -9 while it was needed"), second_load(1) as pid:
        end(pid)


def test_a_second_load_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BackendError, match=r"did not start: status 1; leave contention out"), second_load(1):
        pytest.fail("there is no load")


class Loads:
    """Stands in for the second load and knows when there is one."""

    def __init__(self) -> None:
        self.is_on, self.threads = False, set[int]()

    @contextmanager
    def __call__(self, threads: int) -> Iterator[int]:
        self.threads.add(threads)
        self.is_on = True
        try:
            yield 0
        finally:
            self.is_on = False


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    made = Loads()
    monkeypatch.setattr(room, "second_load", made)
    return made


def test_blocks_of_both_kinds_take_turns_and_only_one_has_the_load(
    make_segmenter: MakeSegmenter, frames: list[Any], loads: Loads
) -> None:
    segmenter = make_segmenter()
    seen: list[bool] = []
    real = segmenter.segment

    def segment(frame: Any) -> Any:
        seen.append(loads.is_on)
        time.sleep(0.004 if loads.is_on else 0.0)
        return real(frame)

    segmenter.segment = segment  # type: ignore[method-assign]
    config = ContentionConfig(num_blocks=3, block_queries=4, load_threads=3)
    found = measure_contention(segmenter, frames, config, warmup=1, seed=0)
    # Each block has one frame that no time counts.
    blocks = [seen[1 + len(frames) + start :][:5] for start in range(0, 30, 5)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert [sorted((first[0], second[0])) for first, second in zip(blocks[::2], blocks[1::2], strict=True)] == [
        [False, True]
    ] * 3
    assert len(found.quiet.samples_ns) == len(found.loaded.samples_ns) == 12
    assert min(found.loaded.samples_ns) >= 4_000_000
    assert (found.load_threads, loads.threads) == (3, {3})


def test_the_load_is_off_and_nothing_has_a_score_where_labels_change(
    make_segmenter: MakeSegmenter, frames: list[Any], loads: Loads
) -> None:
    segmenter = make_segmenter(changes_at=1 + len(frames) + 2)
    with pytest.raises(GateError, match="contention: labels changed"):
        measure_contention(segmenter, frames, ContentionConfig(num_blocks=2, block_queries=3), warmup=1, seed=0)
    assert not loads.is_on
    assert loads.threads <= {len(os.sched_getaffinity(0))}
