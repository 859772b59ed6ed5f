"""What Prometheus reads, parsed as it parses it."""

import sys
from collections.abc import Callable
from email.message import Message

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from runtime.health.reasons import Health, Reason
from runtime.live.view import LiveView
from runtime.result import Counters, Result, Stages

Fetch = Callable[..., tuple[int, Message, bytes]]
MakeResult = Callable[..., Result]
PassMs = Callable[[float], None]
MILLISECOND_NS = 1_000_000


def metrics_of(fetch: Fetch) -> dict[str, Metric]:
    status, headers, content = fetch("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    return {metric.name: metric for metric in text_string_to_metric_families(content.decode())}


def value(metric: Metric, suffix: str = "", **labels: str) -> float:
    (found,) = [
        sample.value for sample in metric.samples if (sample.name, sample.labels) == (metric.name + suffix, labels)
    ]
    return found


def test_before_anything_was_told_there_are_no_counts_to_mistake_for_zero(fetch: Fetch) -> None:
    metrics = metrics_of(fetch)
    assert "iapc_results_published" not in metrics
    assert "iapc_health_state" not in metrics
    assert value(metrics["iapc_result_age_seconds"], "_count") == 0


def test_ages_and_stages_are_histograms_in_seconds(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    for infer_ms in (10, 40, 2000):
        view.write(make_result(1, stages=Stages(0, 0, infer_ms * MILLISECOND_NS, 0, 0)))
    metrics = metrics_of(fetch)
    for metric, labels in (
        (metrics["iapc_result_age_seconds"], {}),
        (metrics["iapc_stage_seconds"], {"stage": "infer"}),
    ):
        assert metric.type == "histogram"
        assert value(metric, "_bucket", le="0.005", **labels) == 0
        assert value(metric, "_bucket", le="0.01", **labels) == 1
        assert value(metric, "_bucket", le="0.05", **labels) == 2
        assert value(metric, "_bucket", le="1", **labels) == 2
        assert value(metric, "_bucket", le="+Inf", **labels) == value(metric, "_count", **labels) == 3
        assert value(metric, "_sum", **labels) == pytest.approx(2.05)


def test_counters_are_the_loops_own(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    view.write(make_result(1, counters=Counters(*range(10, 19))))
    metrics = metrics_of(fetch)
    names = ("captured", "lost", "refused", "dropped")
    counted = [value(metrics[f"iapc_frames_{name}"], "_total") for name in names]
    counted += [value(metrics[f"iapc_results_{name}"], "_total") for name in ("published", "withheld", "late")]
    counted += [value(metrics[f"iapc_{name}"], "_total") for name in ("engine_restarts", "bundle_swaps")]
    assert counted == list(range(10, 19))
    assert metrics["iapc_frames_lost"].type == "counter"


def test_health_is_one_gauge_a_state_and_a_reason(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    view.write(make_result(1, health=Health(Reason.THROTTLED, ("hot",))))
    metrics = metrics_of(fetch)
    states = {sample.labels["state"]: sample.value for sample in metrics["iapc_health_state"].samples}
    reasons = {sample.labels["reason"]: sample.value for sample in metrics["iapc_health_reason"].samples}
    assert states == {"ok": 0, "degraded": 1, "fault": 0}
    assert set(reasons) == {str(reason.name).lower() for reason in Reason}
    assert [name for name, is_active in reasons.items() if is_active] == ["throttled"]


def test_what_is_old_says_so(view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs) -> None:
    view.write(make_result(1))
    pass_ms(4000)
    metrics = metrics_of(fetch)
    assert value(metrics["iapc_told_age_seconds"]) == 4.0
    assert value(metrics["iapc_last_result_age_seconds"]) == 4.05
    assert value(metrics["iapc_deadline_seconds"]) == 0.2


def test_the_bundle_and_the_process_are_told(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    view.write(make_result(1))
    metrics = metrics_of(fetch)
    assert value(metrics["iapc_bundle_info"], bundle_id="ab" * 32) == 1
    assert value(metrics["iapc_drop_ratio"]) == 0.25
    assert value(metrics["process_resident_memory_bytes"]) > 0
    assert metrics["iapc_build_info"].samples[0].labels.keys() == {"version", "python"}


def test_every_metric_has_a_help_text(view: LiveView, fetch: Fetch, make_result: MakeResult) -> None:
    view.write(make_result(1))
    metrics = metrics_of(fetch)
    assert len(metrics) > 20
    assert all(metric.documentation for metric in metrics.values())


def test_without_prometheus_client_one_sentence_names_the_extra(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "runtime.live.exposition", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    status, _, content = fetch("/metrics")
    assert status == 501
    assert b"pip install 'iapc[live]'" in content
    assert fetch("/status.json")[0] == 200
