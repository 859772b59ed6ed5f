"""Several cameras at the same time, each with a loop and an engine in a process of its own.

Processes, because that is how the runtime serves several cameras: one `serve` each. Threads of one process would share
the lock of the interpreter, and a loop sets up the garbage collector of its process for itself alone.
"""

import signal
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from benchmarks.contenders import Frame
from benchmarks.scenarios.camera import CameraPlan, prepare, run_camera
from benchmarks.scenarios.config import MultiCameraConfig
from benchmarks.scenarios.document import Camera
from benchmarks.scenarios.served import ServedBundle
from runtime.errors import BackendError, IapcError

__all__ = ["measure_cameras"]

READY, GO = "ready", "go"


def measure_cameras(
    served: ServedBundle, frames: Sequence[Frame], config: MultiCameraConfig, *, warmup: int, seed: int
) -> tuple[Camera, ...]:
    """Run all cameras from one moment on, each engine with its share of the threads; every process ends in any case.

    Raises:
        BackendError: an engine failed, or a process ended.
        GateError: labels changed, or the counters of a loop do not add up to its camera's frames.
    """
    threads = served.share(len(config.rates_hz))
    children: list[tuple[str, SpawnProcess, Connection]] = []
    try:
        for number, rate_hz in enumerate(config.rates_hz):
            plan = CameraPlan(f"multi_camera, camera {number}", rate_hz, config.num_frames, config.deadline_ms)
            children.append(_start(plan, (served, frames, plan, threads, warmup, seed + number)))
        for name, process, connection in children:
            _answer(name, process, connection)
        for _, _, connection in children:
            connection.send(GO)
        return tuple(_answer(*child) for child in children)
    finally:
        for _, process, connection in children:
            process.kill()
            process.join()
            connection.close()


def _start(plan: CameraPlan, arguments: tuple[Any, ...]) -> tuple[str, SpawnProcess, Connection]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return plan.name, process, ours


def _answer(name: str, process: SpawnProcess, connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except EOFError as error:
        process.join()
        raise BackendError(
            f"{name}: its process ended with status {process.exitcode}; see what it wrote above, or use fewer "
            "multi_camera.rates_hz where memory is short"
        ) from error
    if isinstance(answer, IapcError):
        raise answer
    return answer


def _serve(
    connection: Connection,
    served: ServedBundle,
    frames: Sequence[Frame],
    plan: CameraPlan,
    threads: int,
    warmup: int,
    seed: int,
) -> None:
    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with served.open(threads) as segmenter:
            check = prepare(segmenter, frames, warmup=warmup, seed=seed)
            connection.send(READY)
            connection.recv()
            connection.send(run_camera(segmenter, frames, plan, check, threads=threads))
    except IapcError as error:
        connection.send(error)
