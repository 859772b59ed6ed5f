"""What the runtime does by default on this machine, and what each option would bring."""

from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.shares import floored
from benchmarks.tables import ABSENT, number
from benchmarks.tune.document import TuneDocument, TuneRow
from benchmarks.tune.measure import DOCUMENT_NAME
from benchmarks.tune.page import RUNS, tune_legend, verdict

__all__ = ["SECTION", "read_tune"]


def read_tune(run: Run) -> TuneDocument:
    """What `tune` measured.

    Raises:
        NotThereError: it did not run yet.
        DataError: its document is damaged.
    """
    document: TuneDocument = run.document(run.config.output / DOCUMENT_NAME, TuneDocument, "make tune")
    return document


def build(run: Run) -> Content:
    """A bar of milliseconds for each setting, beside what it costs all cores together, in each of the runs."""
    found = read_tune(run)
    groups = [(title, purpose, getattr(found, field)) for field, title, purpose in RUNS]
    top = max([1e-9, *(row.median_ms or 0.0 for _, _, rows in groups for row in rows)])
    values = {
        "verdict": verdict(found),
        "runtime_yaml": found.runtime_yaml,
        "groups": [
            (title, purpose, [_row(found, row, top) for row in rows]) for title, purpose, rows in groups if rows
        ],
        "legend": tune_legend(found),
    }
    return Content(values, (run.config.output / DOCUMENT_NAME,), run.stale(found.manifest_sha256, "make tune"))


def _row(found: TuneDocument, row: TuneRow, top: float) -> dict[str, object]:
    ratio = row.ratio
    return {
        "setting": row.setting,
        "is_taken": row.setting == found.best,
        "median": number(row.median_ms, 2),
        "width": 100 * (row.median_ms or 0.0) / top,
        "cpu": number(row.cpu_ms, 1),
        "agreement": ABSENT if row.label_agreement is None else floored(row.label_agreement, 2),
        "ratio": ABSENT if ratio is None else f"{ratio.value:.2f}x",
        "interval": ""
        if ratio is None
        else f"95 % interval {ratio.low:.2f} to {ratio.high:.2f}, against {row.against}",
        "verdict": row.verdict or ("default" if row.setting == found.default else ""),
        "why_not": None if row.refusal is None else f"no score: {row.refusal}",
    }


SECTION = Section("tune", "Tuned to this machine", "make tune", build)
