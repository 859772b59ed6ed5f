"""OpenVINO's own conversion in its own choice of precision and in NNCF's integers, and its benchmark_app beside it."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from benchmarks.contenders import Frame, NotRun, Segment
from benchmarks.peers.peer import Given, Peer
from benchmarks.peers.plain_onnx import Host, export_plainly
from runtime.backends.packages import import_openvino, without_telemetry
from runtime.backends.signal_stack import kept_signal_stack
from runtime.bundle.manifest import Precision
from runtime.errors import BackendError

__all__ = ["benchmark_app_ms", "openvino_peers"]

# What its package reports to its maker stays switched off in the process that benchmark_app runs in, too.
BENCHMARK_APP = (
    "import sys; sys.modules['openvino_telemetry'] = None; from openvino.tools.benchmark.main import main; main()"
)
PATH = "openvino.convert_model of a plain ONNX export; host as in the tutorial's ONNX Runtime"
MEDIAN = re.compile(r"Median:\s+([0-9.]+)\s*ms")


def _convert(given: Given) -> Any:
    return import_openvino().convert_model(str(export_plainly(given)))


def _open(given: Given, settings: dict[str, Any], convert: Callable[[Given], Any] = _convert) -> Segment | NotRun:
    if find_spec("openvino") is None:
        return NotRun("OpenVINO is not installed; `pip install 'iapc[openvino]'` adds it")
    settings = {"PERFORMANCE_HINT": "LATENCY", **settings}
    if given.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = given.threads
    with kept_signal_stack():
        compiled = import_openvino().compile_model(convert(given), "CPU", settings)
    host = Host.of(given)

    def segment(frame: Frame) -> Frame:
        return host.labels(compiled(host.image(frame))[0])

    return segment


def _chosen(given: Given, stack: ExitStack) -> Segment | NotRun:
    return _open(given, {})


def _in_fp32(given: Given, stack: ExitStack) -> Segment | NotRun:
    return _open(given, {"INFERENCE_PRECISION_HINT": "f32"})


def _in_int8(given: Given, stack: ExitStack) -> Segment | NotRun:
    if find_spec("nncf") is None:
        return NotRun("NNCF is not installed; `pip install 'iapc[peers]'` adds it")
    return _open(given, {}, _quantized)


def _quantized(given: Given) -> Any:
    """With the defaults of NNCF."""
    with without_telemetry():
        import nncf
    # stdout belongs to the JSON line; NNCF draws its bars there.
    with contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(_convert(given), nncf.Dataset(given.frames, Host.of(given).image))


def _default_precision() -> Precision:
    """What OpenVINO computes float networks in on this CPU unless told otherwise."""
    if find_spec("openvino") is None:
        return "fp32"
    offered = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in offered else "fp32"


def benchmark_app_ms(given: Given, seconds: int) -> float | None:
    """Median milliseconds of OpenVINO's benchmark_app: the engine alone, on random numbers, one request at a time.

    None where OpenVINO is not installed.

    Raises:
        BackendError: benchmark_app failed, or printed no median.
    """
    if find_spec("openvino") is None:
        return None
    options = ["-m", str(export_plainly(given)), "-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1"]
    if given.threads is not None:
        options += ["-nthreads", str(given.threads)]
    command = [sys.executable, "-c", BENCHMARK_APP, *options, "-t", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = MEDIAN.search(done.stdout)
    if done.returncode != 0 or found is None:
        last = " ".join((done.stderr or done.stdout).split()[-40:])
        raise BackendError(f"OpenVINO's benchmark_app ended with status {done.returncode} and no median: {last}")
    return float(found[1])


def openvino_peers() -> tuple[Peer, ...]:
    """Its own choice first; float32 where that was another; integers."""
    chosen = _default_precision()
    peers = [Peer("OpenVINO, own conversion", f"{PATH}; its own choice of precision: {chosen}", chosen, _chosen)]
    if chosen != "fp32":
        peers.append(Peer("OpenVINO, own conversion, fp32", f"{PATH}; told to compute in float32", "fp32", _in_fp32))
    quantized = f"{PATH}, after nncf.quantize on the frames"
    return (*peers, Peer("OpenVINO INT8, NNCF", quantized, "int8", _in_int8))
