"""What Prometheus reads: counted while results come, put into words only when somebody asks.

Importing this module needs prometheus_client, the extra `live`.
"""

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder

from runtime.health.reasons import Health, Reason, State
from runtime.live.record import BOUNDS_NS, STAGES, Durations, Told
from runtime.result import Counters
from runtime.units import SECOND_NS

__all__ = ["Exposition"]

COUNTERS = (
    ("num_captured", "iapc_frames_captured", "Frames that were read whole."),
    ("num_lost", "iapc_frames_lost", "Gaps in the camera's frame numbers."),
    ("num_refused", "iapc_frames_refused", "Frames that were corrupt, of another size or out of order."),
    ("num_dropped", "iapc_frames_dropped", "Whole frames that were overtaken by a newer one."),
    ("num_published", "iapc_results_published", "Results that went out."),
    ("num_withheld", "iapc_results_withheld", "Results that were kept back because their output is not to be trusted."),
    ("num_late", "iapc_results_late", "Results published after their deadline."),
    ("num_restarts", "iapc_engine_restarts", "Restarts of the engine."),
    ("num_swaps", "iapc_bundle_swaps", "Swaps of the bundle."),
)


class Exposition:
    """Metrics in a registry of their own, read from what the loop told.

    Args:
        told: gives what the loop told so far.
    """

    def __init__(self, told: Callable[[], Told]) -> None:
        self._told = told
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def encoded(self, accept: str) -> tuple[str, bytes]:
        """Content type and text, in the format that the header `accept` asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics now; the registry calls this."""
        told = self._told()
        yield _build()
        yield from _durations(told)
        if told.status is not None:
            yield _gauge("iapc_told_age_seconds", "Since the loop told something last.", told.now_ns - told.told_ns)
            yield from _counters(told.status.counters)
            yield from _health(told.status.health)
            yield from _status(told)


def _build() -> Metric:
    try:
        installed = version("iapc")
    except PackageNotFoundError:
        installed = "not installed"
    about = {"version": installed, "python": platform.python_version()}
    return InfoMetricFamily("iapc_build", "Version of this package and of Python.", about)


def _status(told: Told) -> Iterator[Metric]:
    assert told.status is not None
    yield InfoMetricFamily("iapc_bundle", "The bundle being served.", {"bundle_id": told.status.bundle_id})
    yield GaugeMetricFamily(
        "iapc_drop_ratio", "Share of whole frames that were overtaken, over the last ones.", told.status.drop_ratio
    )
    if told.deadline_ns >= 0:
        age_ns = told.now_ns - told.status.last_captured_ns
        yield _gauge("iapc_last_result_age_seconds", "Since capture of the newest result's frame.", age_ns)
        yield _gauge("iapc_deadline_seconds", "Greatest age at which a result counts as fresh.", told.deadline_ns)


def _counters(counters: Counters) -> Iterator[Metric]:
    for field, name, text in COUNTERS:
        yield CounterMetricFamily(name, text, getattr(counters, field))


def _health(health: Health) -> Iterator[Metric]:
    states = GaugeMetricFamily("iapc_health_state", "1 for the state that the loop is in.", labels=["state"])
    for state in State:
        states.add_metric([state.name.lower()], state is health.state)
    reasons = GaugeMetricFamily("iapc_health_reason", "1 while the reason holds.", labels=["reason"])
    for reason in Reason:
        reasons.add_metric([str(reason.name).lower()], reason in health.reasons)
    yield from (states, reasons)


def _durations(told: Told) -> Iterator[Metric]:
    age = HistogramMetricFamily("iapc_result_age_seconds", "Age of results when they were published.")
    age.add_metric([], *_buckets(told.age))
    stages = HistogramMetricFamily("iapc_stage_seconds", "Time results spent in each stage.", labels=["stage"])
    for stage, durations in zip(STAGES, told.stages, strict=True):
        stages.add_metric([stage], *_buckets(durations))
    yield from (age, stages)


def _buckets(durations: Durations) -> tuple[list[tuple[str, float]], float]:
    bounds: tuple[str, ...] = (*(f"{bound_ns / SECOND_NS:g}" for bound_ns in BOUNDS_NS), "+Inf")
    buckets, num_below = [], 0
    for bound, count in zip(bounds, durations.counts, strict=True):
        num_below += count
        buckets.append((bound, float(num_below)))
    return buckets, durations.total_ns / SECOND_NS


def _gauge(name: str, text: str, duration_ns: int) -> Metric:
    return GaugeMetricFamily(name, text, duration_ns / SECOND_NS)
