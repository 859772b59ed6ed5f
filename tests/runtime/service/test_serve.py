"""`python -m runtime serve` as a whole: real processes, a folder of frames, and what its files say afterwards."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import AddressError, ConfigError, DiskFullError
from runtime.files import sha256_of
from runtime.health.monitor import Monitor
from runtime.images import write_png
from runtime.live.config import LiveConfig
from runtime.segmenter import Segmentation
from runtime.service.serve import serve
from runtime.settings import RuntimeConfig
from runtime.sinks.config import JsonLinesConfig
from runtime.sinks.disk import open_alone
from runtime.sources.config import FolderConfig
from runtime.swap.open import open_served
from runtime.swap.served import Served

ROOT = Path(__file__).parents[3]
Start = Callable[..., "Process"]
QUIET = ("live=null", "drift=null")


class Process:
    """A `serve` process, what it told, and the lines of its sink."""

    def __init__(self, arguments: list[str], lines: Path, log: Path) -> None:
        self._lines, self._log = lines, log
        command = [sys.executable, "-m", "runtime", "serve", *arguments]
        with log.open("wb") as told:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=told, text=True)

    @property
    def told(self) -> str:
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Whole lines of the sink; the last may be half written at this moment."""
        text = self._lines.read_text() if self._lines.is_file() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def num_results(self) -> int:
        return sum(line["kind"] == "result" for line in self.lines())

    def loop_pid(self) -> int:
        """The process that was started last."""
        started = [line for line in self.told.splitlines() if "started the loop's process" in line]
        return int(started[-1].rpartition(" ")[2])

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = monotonic() + timeout_s
        while not condition():
            assert monotonic() < deadline, self.told
            assert self.process.poll() is None or condition(), self.told
            sleep(0.02)

    def end(self) -> tuple[int, str]:
        """Wait; exit status and the last line of stdout."""
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines()[-1] if out else ""


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A folder of frames that all differ; the bundle's confidence is its brightest channel, and dark looks like NaN."""
    folder = tmp_path / "drive"
    folder.mkdir()
    for number in range(20):
        frame = np.random.default_rng(number).integers(100, 256, (16, 24, 3), dtype=np.uint8)
        write_png(folder / f"{number:02}.png", frame)
    return folder


@pytest.fixture
def start(bundle: Path, drive: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `serve` on the frames, over and over at 50 a second, with lines of JSON for results."""
    running: list[Process] = []

    def begin(*overrides: str, arguments: tuple[str, ...] = ()) -> Process:
        lines = tmp_path / "results.jsonl"
        sink = json.dumps({"kind": "jsonl", "path": str(lines)})
        settings = ("source.rate_hz=50", "source.is_repeated=true", f"sinks=[{sink}]", *QUIET, *overrides)
        given = ["--bundle", str(bundle), "--source", str(drive), *arguments]
        served = Process([*given, *(f"--set={item}" for item in settings)], lines, tmp_path / "log")
        running.append(served)
        return served

    yield begin
    for served in running:
        # Its loop ends with it.
        served.process.kill()
        served.process.communicate()


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_finished_source_ends_well_with_every_frame_counted(start: Start) -> None:
    served = start("source.is_repeated=false")
    status, last = served.end()
    assert status == 0, served.told
    figures = json.loads(last)
    assert figures["captured"] == 20
    assert figures["published"] + figures["dropped"] + figures["withheld"] == 20
    assert figures["age_ms"]["p50"] <= figures["age_ms"]["max"]
    assert "p90" not in figures["age_ms"]
    assert served.num_results() >= 1
    stages = list(figures["cold_start_s"])
    assert (stages[:2], stages[-2:]) == (["config", "imports"], ["bundle", "ready"])
    assert {"verify", "load", "warm_up", "golden"} <= set(stages)
    assert "ready after" in served.told
    assert "results.jsonl" in served.told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_ends_well_with_the_last_result_whole(start: Start, number: signal.Signals) -> None:
    served = start()
    served.until(lambda: served.num_results() >= 3)
    served.process.send_signal(number)
    status, last = served.end()
    assert status == 0, served.told
    results = [line for line in served.lines() if line["kind"] == "result"]
    assert json.loads(last)["published"] >= len(results)
    assert sum(results[-1]["class_share"].values()) == pytest.approx(1, abs=1e-5)
    assert served.lines()[-1]["reasons"] == ["STOPPED"]
    assert served.lines()[-1]["last_frame_id"] == results[-1]["frame_id"]


def test_sigterm_in_mid_frame_still_publishes_that_frame(
    bundle: Path, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_interrupted(config: RuntimeConfig, monitor: Monitor) -> Served:
        served = open_served(config, monitor)
        segment = served.segment

        def segment_and_be_stopped(frame: NDArray[np.uint8]) -> Segmentation:
            os.kill(os.getpid(), signal.SIGTERM)
            return segment(frame)

        monkeypatch.setattr(served, "segment", segment_and_be_stopped)
        return served

    monkeypatch.setattr("runtime.swap.open.open_served", open_interrupted)
    lines = tmp_path / "results.jsonl"
    source = FolderConfig(path=drive, rate_hz=50, is_repeated=True)
    sinks = (JsonLinesConfig(path=lines),)
    figures = serve(RuntimeConfig(bundle=bundle, source=source, sinks=sinks, live=None, drift=None))
    assert figures["published"] == 1
    result, *_, last = [json.loads(line) for line in lines.read_text().splitlines() if '"STARTING"' not in line]
    assert (result["kind"], result["is_fresh"]) == ("result", True)
    assert (last["reasons"], last["last_frame_id"]) == (["STOPPED"], result["frame_id"])


def test_page_metrics_and_shared_memory_are_there_while_it_serves(start: Start) -> None:
    name = f"iapc-test-{os.getpid()}"
    served = start("live={port: 0}", "drift={}", f"sinks=[{{kind: ring, name: {name}}}]")
    served.until(lambda: "ready after" in served.told and re.search(r"live view http://\S+\s", served.told) is not None)
    (url,) = re.findall(r"live view (http://\S+)", served.told)

    def has_health() -> bool:
        with urllib.request.urlopen(f"{url.rstrip('/')}/metrics", timeout=30) as answer:
            return b"iapc_health_state" in answer.read()

    # The page is there before the loop has looked at itself for the first time.
    served.until(has_health)
    command = [sys.executable, "-m", "runtime", "watch", name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        assert watching.stderr.readline() != ""
        served.process.terminate()
        assert served.end()[0] == 0, served.told
        out, _ = watching.communicate(timeout=60)
    assert (watching.returncode, json.loads(out)["verdict"]) == (0, "STOPPED")


def test_killed_loop_is_started_again_and_the_gap_is_seen(start: Start) -> None:
    served = start("supervisor.backoff_s=0.05")
    served.until(lambda: served.num_results() >= 2)
    first = served.loop_pid()
    os.kill(first, signal.SIGKILL)
    served.until(lambda: served.loop_pid() != first)
    before = served.lines()
    served.until(lambda: served.num_results() >= sum(line["kind"] == "result" for line in before) + 2)
    results = [line for line in served.lines() if line["kind"] == "result"]
    # The new process counts from nothing, on the same clock: nobody can take its results for a continuation.
    numbers = [line["counters"]["num_published"] for line in results]
    fall = next(index for index in range(1, len(numbers)) if numbers[index] < numbers[index - 1])
    assert results[fall]["captured_ns"] > results[fall - 1]["published_ns"]
    assert "was ended by SIGKILL; restart 1 of 10" in served.told
    served.process.terminate()
    assert served.end()[0] == 0, served.told


def test_hanging_loop_is_killed_and_started_again(start: Start) -> None:
    served = start("supervisor.silence_s=0.5", "supervisor.backoff_s=0.05")
    served.until(lambda: served.num_results() >= 1)
    first = served.loop_pid()
    os.kill(first, signal.SIGSTOP)
    served.until(lambda: served.loop_pid() != first)
    assert is_gone(first)
    count = served.num_results()
    served.until(lambda: served.num_results() > count)
    assert "gave no sign of life for 0.5 s and was killed" in served.told


def test_loop_does_not_outlive_its_killed_supervisor(start: Start) -> None:
    served = start()
    served.until(lambda: served.num_results() >= 1)
    loop = served.loop_pid()
    served.process.kill()
    served.process.wait()
    deadline = monotonic() + 30
    while not is_gone(loop):
        assert monotonic() < deadline
        sleep(0.02)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["bundle=/nowhere"], "runtime.bundle"),
        (["loop.cpus=[1000]"], "runtime.loop.cpus is [1000]"),
        (["loop.deadline=5"], "did you mean 'deadline_ms'?"),
        (["source=null"], "serve needs runtime.bundle and runtime.source"),
    ],
)
def test_what_would_be_refused_again_is_not_tried_again(start: Start, overrides: list[str], message: str) -> None:
    served = start(*overrides)
    status, _ = served.end()
    assert status == 2, served.told
    assert message in served.told
    assert "restart" not in served.told


def test_port_that_another_process_has_is_not_tried_again(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        served = start(f"live={{port: {other.getsockname()[1]}}}")
        status, _ = served.end()
    assert status == 2, served.told
    assert "choose another runtime.live.port" in served.told
    assert "restart" not in served.told


def test_full_disk_and_an_address_that_is_not_up_yet_are_tried_again(
    bundle: Path, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    given = RuntimeConfig(bundle=bundle, source=FolderConfig(path=drive), live=None, drift=None)
    # Set aside for examples (RFC 5737): no machine has it.
    with pytest.raises(AddressError) as unreachable:
        serve(given.model_copy(update={"live": LiveConfig(host="192.0.2.1", port=0)}))
    monkeypatch.setattr("runtime.sinks.rotating.open_alone", refuse)
    with pytest.raises(DiskFullError) as full:
        serve(given.model_copy(update={"sinks": (JsonLinesConfig(path=tmp_path / "results.jsonl"),)}))
    assert (unreachable.value.exit_status, full.value.exit_status) == (1, 1)


def test_summary_does_not_wait_for_a_bundle_that_closes_slowly(
    bundle: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    close = Served.close

    def closing(served: Served) -> None:
        events.append("closed")
        close(served)

    monkeypatch.setattr("runtime.service.serve.say", events.append)
    monkeypatch.setattr(Served, "close", closing)
    serve(RuntimeConfig(bundle=bundle, source=FolderConfig(path=drive, rate_hz=500), live=None, drift=None))
    assert events[-2].startswith("stopped after 20 frames")
    assert events[-1] == "closed"


def test_file_that_another_process_writes_is_a_wrong_setting(bundle: Path, drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    source, sinks = FolderConfig(path=drive), (JsonLinesConfig(path=path),)
    with open_alone(path), pytest.raises(ConfigError, match=r"results\.jsonl is being written by another process"):
        serve(RuntimeConfig(bundle=bundle, source=source, sinks=sinks, live=None, drift=None))


def test_loop_that_cannot_start_is_given_up(start: Start, bundle: Path) -> None:
    """The network opens, and gives other labels than at export: an engine's fault, which may pass."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artefacts"][0]["golden_agreement"] = 1.0
    golden = np.load(bundle / "golden_labels.npy")
    np.save(bundle / "golden_labels.npy", (golden + 1) % 3)
    described = manifest["golden"]["labels"]
    described["sha256"] = sha256_of(bundle / "golden_labels.npy")
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    served = start("supervisor.max_restarts=1", "supervisor.backoff_s=0.01")
    status, _ = served.end()
    assert status == 4, served.told
    assert served.told.count("gives other labels here than at export") == 2
    assert "gave up after 1 restarts" in served.told


def test_log_tells_why_no_frame_comes_and_no_password(start: Start) -> None:
    # Port 9, on which nothing listens.
    served = start('source={kind: video, path: "rtsp://driver:secr@t@127.0.0.1:9/front"}')
    served.until(lambda: "SOURCE_LOST" in served.told)
    served.process.terminate()
    status, _ = served.end()
    assert status == 0, served.told
    assert "health: FAULT: STARTING; SOURCE_LOST (stream rtsp://127.0.0.1:9/front" in served.told
    assert "path rtsp://127.0.0.1:9/front" in served.told
    assert "t@127" not in served.told


def test_unsupervised_loop_is_one_process_that_stops_in_order(start: Start) -> None:
    served = start(arguments=("--unsupervised",))
    served.until(lambda: served.num_results() >= 1)
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text()
    assert children == ""
    served.process.terminate()
    assert served.end()[0] == 0, served.told
    assert "supervisor" not in served.told
