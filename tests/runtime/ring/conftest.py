"""Rings under names of their own, C programs compiled with all warnings, and processes that never outlive a test."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

import runtime.ring
from runtime.errors import BackendError
from runtime.health.reasons import OK, Health
from runtime.result import Captured, Counters, Result, Stages
from runtime.ring.compiled import ring_library

RING_FOLDER = Path(runtime.ring.__file__).parent
SHARED = Path("/dev/shm")
PATIENCE_S = 60

Compile = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _is_built() -> None:
    try:
        ring_library()
    except BackendError as error:
        pytest.skip(f"{error} (in a checkout: `python setup.py build_ext --inplace`)")


@pytest.fixture
def name() -> Iterator[str]:
    """A ring's name that nobody else uses."""
    name = f"test-{uuid4()}"
    yield name
    for file in SHARED.glob(f"iapc-{name}*"):
        file.unlink()


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a C file against iapc_ring.h, once; skips where there is no compiler, or it lacks what `flags` ask."""
    programs: dict[tuple[str, ...], Path] = {}
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")

    def compile_file(source: Path, *flags: str, may_skip: bool = False) -> Path:
        key = (source.read_text(encoding="utf-8"), *flags)
        if key in programs:
            return programs[key]
        program = tmp_path_factory.mktemp("compiled") / source.stem
        command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", *flags, "-I", str(RING_FOLDER)]
        done = subprocess.run([*command, str(source), "-o", str(program)], capture_output=True, text=True)
        if done.returncode != 0 and may_skip:
            pytest.skip(f"the compiler has no {' '.join(flags)}")
        assert done.returncode == 0, done.stderr
        programs[key] = program
        return program

    return compile_file


@pytest.fixture
def torture(compile_c: Compile) -> Path:
    """The program of torture.c."""
    return compile_c(Path(__file__).with_name("torture.c"))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program, or Python code given as text; kills it at the end of the test."""
    processes: list[subprocess.Popen[str]] = []

    def start_process(program: Path | str, *arguments: object) -> "subprocess.Popen[str]":
        command = [str(program)] if isinstance(program, Path) else [sys.executable, "-c", program]
        environment = {**os.environ, "PYTHONPATH": str(RING_FOLDER.parents[1])}
        process = subprocess.Popen(
            [*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end_s, "waited in vain"
            time.sleep(0.002)

    return wait


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A result of 4 x 6 pixels whose labels are all its frame's number."""

    def make(frame_id: int, captured_ns: int, health: Health = OK) -> Result:
        return Result(
            captured=Captured(frame_id, captured_ns, ""),
            frame=np.zeros((4, 6, 3), dtype=np.uint8),
            labels=np.full((4, 6), frame_id, dtype=np.uint8),
            confidence=np.full((4, 6), 255 - frame_id, dtype=np.uint8),
            published_ns=captured_ns + 15,
            deadline_ns=200,
            stages=Stages(1, 2, 3, 4, 5),
            health=health,
            counters=Counters(num_captured=9, num_swaps=1),
            drop_ratio=0.25,
            bundle_id="ab" * 32,
        )

    return make
