"""`soak`: a camera faster than the engine, for long; results must stay young, memory flat and drops counted."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import read_frames
from benchmarks.environment import describe_environment
from benchmarks.loop.document import Minute, SoakDocument
from benchmarks.loop.memory import resident_bytes
from benchmarks.loop.opened import open_segmenter, threads_of, what_is_served
from benchmarks.loop.overhead import engine_ns
from benchmarks.loop.run import is_exact, run_loop
from benchmarks.loop.soak_picture import draw_soak
from benchmarks.samples import MIN_SAMPLES
from runtime.command import say
from runtime.errors import GateError
from runtime.files import writable_folder, write_json
from runtime.health.reasons import State
from runtime.result import Result, Status
from runtime.swap.served import Served

__all__ = ["measure_soak"]

MINUTE_NS = 60_000_000_000


def measure_soak(config: BenchmarksConfig) -> dict[str, Any]:
    """Run the loop at a fixed rate above what the engine can take; writes `soak.json` and `soak.png`.

    Raises:
        GateError: the counters do not add up to the camera's frames, or a result older than its deadline was fresh.
    """
    options = config.loop
    output = writable_folder(config.output)
    environment = describe_environment(threads_of(options.backend))
    with open_segmenter(config) as segmenter:
        _, frames = read_frames(config.frames, segmenter.manifest)
        bare_ns = engine_ns(segmenter, frames)
        period_ns = int(bare_ns / options.soak_load)
        num_frames = int(options.soak_minutes * MINUTE_NS / period_ns)
        say(f"{num_frames} frames, one every {period_ns / 1e6:.1f} ms; the engine takes {bare_ns / 1e6:.1f} ms")
        sink = _Minutes(int(2 * MINUTE_NS / bare_ns) + 1)
        served = Served(lambda: segmenter)
        counters = run_loop(served, frames, period_ns, num_frames, sink, deadline_ms=options.deadline_ms)
        artefact, engine = what_is_served(segmenter)
    document = SoakDocument(
        **how_measured(config, environment),
        artefact=artefact,
        engine=engine,
        engine_ms=bare_ns / 1e6,
        period_ms=period_ns / 1e6,
        deadline_ms=options.deadline_ms,
        num_frames=num_frames,
        counters=asdict(counters),
        is_exact=is_exact(counters, num_frames),
        num_stale_as_fresh=sink.num_stale_as_fresh,
        states={state.name: number for state, number in sink.states.items()},
        minutes=tuple(sink.minutes),
    )
    write_json(output / "soak.json", document.model_dump(mode="json"))
    draw_soak(document, output / "soak.png")
    say(_summary(document))
    if not document.is_exact or document.num_stale_as_fresh:
        raise GateError(
            f"{num_frames} frames were taken, the loop counted {counters}; {document.num_stale_as_fresh} results older "
            f"than their deadline were called fresh; see {output / 'soak.json'}"
        )
    return {"soak": str(output / "soak.json"), "picture": str(output / "soak.png"), **_figures(document)}


class _Minutes:
    """A sink that sums up each minute; room for the results of one."""

    def __init__(self, capacity: int) -> None:
        self._ages_ns: NDArray[np.int64] = np.zeros(capacity, dtype=np.int64)
        self._num_results = self._num_stale = 0
        self._until_ns = time.monotonic_ns() + MINUTE_NS
        self.minutes: list[Minute] = []
        self.num_stale_as_fresh = 0
        self.states = dict.fromkeys(State, 0)

    def write(self, result: Result) -> None:
        """See `runtime.sinks.sink.Sink`."""
        now_ns = time.monotonic_ns()
        age_ns = now_ns - result.captured.captured_ns
        is_stale = age_ns > result.deadline_ns
        self.num_stale_as_fresh += is_stale and result.is_fresh(now_ns)
        self._ages_ns[self._num_results] = age_ns
        self._num_results += 1
        self._num_stale += is_stale
        self.states[result.health.state] += 1
        if now_ns >= self._until_ns or self._num_results == len(self._ages_ns):
            self._sum_up(now_ns)

    def tell(self, status: Status) -> None:
        """See `runtime.sinks.sink.Sink`."""
        self.states[status.health.state] += 1

    def close(self) -> None:
        """Sum up what is left."""
        self._sum_up(time.monotonic_ns())

    def _sum_up(self, now_ns: int) -> None:
        ages_ms = np.sort(self._ages_ns[: self._num_results]) / 1e6
        self.minutes.append(
            Minute(
                num_results=self._num_results,
                num_stale=self._num_stale,
                age_p50_ms=_percentile(ages_ms, "p50"),
                age_p99_ms=_percentile(ages_ms, "p99"),
                age_max_ms=float(ages_ms[-1]) if len(ages_ms) else None,
                resident_bytes=resident_bytes(),
            )
        )
        self._num_results = self._num_stale = 0
        self._until_ns = now_ns + MINUTE_NS


def _percentile(sorted_ms: NDArray[np.float64], name: str) -> float | None:
    if len(sorted_ms) < MIN_SAMPLES[name]:
        return None
    return float(np.quantile(sorted_ms, float(name[1:]) / 100, method="higher"))


def _figures(document: SoakDocument) -> dict[str, Any]:
    ages = [minute.age_max_ms for minute in document.minutes if minute.age_max_ms is not None]
    resident = [minute.resident_bytes for minute in document.minutes]
    return {
        "minutes": len(document.minutes),
        "frames": document.num_frames,
        "published": document.counters["num_published"],
        "dropped": document.counters["num_dropped"],
        "lost": document.counters["num_lost"],
        "is_exact": document.is_exact,
        "age_ms_max": round(max(ages), 1),
        "resident_mb_first": round(resident[0] / 1e6, 1),
        "resident_mb_last": round(resident[-1] / 1e6, 1),
    }


def _summary(document: SoakDocument) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in _figures(document).items())
    return f"soak with {document.artefact} in {document.engine}: {figures}"
