"""Camera process -> ring -> loop -> ring -> reading process, and what the reader hears when something in it dies."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import monotonic_ns
from typing import Any

import pytest

from runtime.__main__ import main
from runtime.bundle.opening import read_manifest
from runtime.errors import SourceError
from runtime.health.config import HealthConfig
from runtime.health.monitor import Monitor
from runtime.health.reasons import Health, Reason
from runtime.loop.config import LoopConfig
from runtime.loop.loop import Loop, NamedSink
from runtime.result import Status
from runtime.ring.layout import Verdict
from runtime.ring.reader import RingReader
from runtime.ring.show import ring_text, show, show_once
from runtime.ring.sink import RingSink
from runtime.ring.source import RingSource
from runtime.segmenter import Segmenter
from runtime.swap.served import Served

Start = Callable[..., "subprocess.Popen[str]"]
EXAMPLES = Path(__file__).parents[3] / "runtime/ring/example"
FRAME_HW = (16, 24)
DEADLINE_NS = 10**9


@pytest.fixture
def cameras(compile_c: Callable[..., Path], start: Start, name: str) -> Callable[[], "subprocess.Popen[str]"]:
    """Starts the C example that writes frames of the bundle's size."""
    program = compile_c(EXAMPLES / "write_frames.c")
    return lambda: start(program, f"{name}-camera", FRAME_HW[1], FRAME_HW[0], 50)


@pytest.fixture
def loop(name: str, bundle: Path) -> Iterator[Loop]:
    """The runtime between the two rings, running."""
    served = Served(lambda: Segmenter.open(bundle))
    monitor = Monitor(HealthConfig(), monotonic_ns)
    sink = RingSink(name, 4, served.manifest, DEADLINE_NS)
    config = LoopConfig(deadline_ms=DEADLINE_NS // 10**6)
    loop = Loop(served, lambda: RingSource(f"{name}-camera", FRAME_HW), [NamedSink("ring", sink)], monitor, config)
    thread = Thread(target=loop.run)
    thread.start()
    yield loop
    loop.stop()
    thread.join()
    served.close()


def lines_of(process: "subprocess.Popen[str]", exit_status: int) -> list[dict[str, Any]]:
    printed, problem = process.communicate(timeout=60)
    assert process.returncode == exit_status, problem
    return [json.loads(line) for line in printed.splitlines()]


def test_labels_cross_two_processes_and_are_fresh(
    name: str, start: Start, cameras: Any, compile_c: Callable[..., Path], loop: Loop
) -> None:
    cameras()
    lines = lines_of(start(compile_c(EXAMPLES / "read_labels.c"), name, 5), 0)
    fresh = [line for line in lines if line["verdict"] == "FRESH"]
    assert fresh
    assert all(line["age_ms"] <= DEADLINE_NS / 1e6 for line in fresh)
    assert all(line["shares"] == {"0": 1.0} for line in fresh)  # grey is class 0
    numbers = [line["frame_id"] for line in lines]
    assert numbers == sorted(numbers)


def test_dead_camera_is_a_fault_and_its_successor_is_fresh_again(
    name: str, cameras: Any, loop: Loop, until: Callable[..., None]
) -> None:
    camera = cameras()
    with RingReader.open(name) as reader:

        def verdict() -> Verdict:
            return reader.verdict(reader.newest())

        until(lambda: verdict() is Verdict.FRESH)
        camera.kill()
        camera.wait()
        until(lambda: verdict() is Verdict.FAULT)
        assert Reason.SOURCE_LOST in reader.status().health.reasons
        cameras()
        until(lambda: verdict() is Verdict.FRESH)


def test_stopped_loop_is_told_to_a_reader_in_c(
    name: str, start: Start, cameras: Any, compile_c: Callable[..., Path], loop: Loop, until: Callable[..., None]
) -> None:
    cameras()
    with RingReader.open(name) as reader:
        until(lambda: reader.newest() is not None)
    process = start(compile_c(EXAMPLES / "read_labels.c"), name)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())
    loop.stop()
    assert lines_of(process, 2)[-1]["verdict"] == "STOPPED"


def test_reader_in_c_ends_with_a_killed_writer(
    name: str, start: Start, compile_c: Callable[..., Path], torture: Path
) -> None:
    assert start(torture, "die", name).wait(60) == -9
    (line,) = lines_of(start(compile_c(EXAMPLES / "read_labels.c"), name), 2)
    assert line["verdict"] == "WRITER_DEAD"
    assert (line["frame_id"], line["shares"]) == (2, {"2": 1.0})


def test_reader_in_c_explains_a_ring_that_is_not_there(name: str, start: Start, compile_c: Callable[..., Path]) -> None:
    process = start(compile_c(EXAMPLES / "read_labels.c"), name)
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "start its writer first" in problem


def test_text_names_verdict_health_and_writer(name: str, bundle: Path) -> None:
    sink = RingSink(name, 4, read_manifest(bundle), DEADLINE_NS)
    with RingReader.open(name) as reader:
        sink.tell(Status(now_ns=monotonic_ns(), health=Health(Reason.NO_FRAMES | Reason.DISK_FULL)))
        text = ring_text(name, reader)
        assert "verdict  NO_RESULT_YET" in text
        assert "health   FAULT (NO_FRAMES, DISK_FULL)" in text
        assert f"results of 24x16, 4 slots\nwriter   process {os.getpid()}, alive" in text
        sink.close()
        assert "verdict  STOPPED" in ring_text(name, reader)


def test_watching_ends_with_the_writer(
    name: str, start: Start, torture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(torture, "die", name).wait(60)
    assert show(name) == {"verdict": "WRITER_DEAD", "health": "OK", "frame_id": 2}
    assert "newest   frame 2, captured" in capsys.readouterr().err


def test_looking_once_is_content_with_a_fresh_result(
    name: str, start: Start, cameras: Any, loop: Loop, until: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cameras()
    with RingReader.open(name) as reader:
        until(lambda: reader.newest() is not None)
    assert main(["watch", name, "--once"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["verdict"] == "FRESH"


def test_looking_once_fails_where_there_is_nothing_to_use(
    name: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = RingSink(name, 4, read_manifest(bundle), DEADLINE_NS)
    sink.tell(Status(now_ns=monotonic_ns(), health=Health(Reason.NO_FRAMES)))
    with pytest.raises(SourceError, match=r"NO_RESULT_YET, health FAULT \(NO_FRAMES\), and not FRESH"):
        show_once(name)
    sink.close()
    assert main(["watch", name, "--once"]) == 1
    assert "start its writer first" in capsys.readouterr().err
