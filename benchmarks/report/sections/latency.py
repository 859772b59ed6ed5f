"""How long the bundle takes for a frame, against PyTorch eager in the same run."""

from collections.abc import Mapping

from benchmarks.document import Contender, LatencyDocument
from benchmarks.latency import DOCUMENT_NAME
from benchmarks.report.charts.ecdf import Times, ecdf
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.shares import floored
from benchmarks.samples import MIN_SAMPLES
from benchmarks.tables import number

__all__ = ["SECTION", "read_latency"]


def read_latency(run: Run) -> LatencyDocument:
    """What `latency` measured.

    Raises:
        NotThereError: it did not run yet.
        DataError: its document is damaged.
    """
    document: LatencyDocument = run.document(run.config.output / DOCUMENT_NAME, LatencyDocument, "make bench")
    return document


def build(run: Run) -> Content:
    """Both distributions, and what the samples support."""
    found = read_latency(run)
    contenders = [
        Times(one.name, [sample / 1e6 for sample in one.samples_ns], _supported(one))
        for one in (found.ours, found.peer)
    ]
    chart, beyond = ecdf(contenders)
    values = {
        "found": found,
        "agreement": floored(found.label_agreement, 4),
        "chart": chart,
        "beyond": list(zip((one.name for one in contenders), beyond, strict=True)),
        "header": ["milliseconds", *MIN_SAMPLES, "max", "load", "first frame"],
        "rows": [_row(found.ours), _row(found.peer)],
        "unsupported": [(name, needed) for name, needed in MIN_SAMPLES.items() if found.num_queries < needed],
    }
    path = run.config.output / DOCUMENT_NAME
    return Content(values, (path,), run.stale(found.manifest_sha256, "make bench"))


def _supported(one: Contender) -> Mapping[str, float]:
    """Percentiles that there are samples enough for, whatever the document holds."""
    return {
        name: value
        for name, needed in MIN_SAMPLES.items()
        if (value := one.percentiles_ms.get(name)) is not None and len(one.samples_ns) >= needed
    }


def _row(one: Contender) -> list[str]:
    supported = _supported(one)
    values = [*(supported.get(name) for name in MIN_SAMPLES), one.max_ms, one.load_ms, one.first_inference_ms]
    return [one.name, *(number(value, 2) for value in values)]


SECTION = Section("latency", "Latency", "make bench", build)
