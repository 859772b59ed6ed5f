"""Accuracy against latency of every artefact in every engine of the machine."""

from benchmarks.document import LadderDocument, LadderRow, Ratio
from benchmarks.ladder import DOCUMENT_NAME
from benchmarks.report.charts.front import Contender, front_chart, front_of
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.shares import against_pytorch, floored
from benchmarks.tables import ABSENT, number

__all__ = ["SECTION", "read_ladder"]


def read_ladder(run: Run) -> LadderDocument:
    """What `ladder` measured.

    Raises:
        NotThereError: it did not run yet.
        DataError: its document is damaged.
    """
    document: LadderDocument = run.document(run.config.output / DOCUMENT_NAME, LadderDocument, "make ladder")
    return document


def build(run: Run) -> Content:
    """The front, where there was a labelled test set, and the table of all rows."""
    found = read_ladder(run)
    scored = [row for row in found.rows if row.median_ms is not None and row.miou is not None and row.refusal is None]
    contenders = [Contender(_name(row), row.median_ms or 0.0, row.miou or 0.0) for row in scored]
    numbers = {id(row): place for place, row in enumerate(scored, start=1)}
    on_front = {place + 1 for place in front_of(contenders)}
    values = {
        "found": found,
        "chart": front_chart(contenders) if contenders else None,
        "rows": [_row(row, numbers.get(id(row)), numbers.get(id(row)) in on_front) for row in found.rows],
    }
    path = run.config.output / DOCUMENT_NAME
    return Content(values, (path,), run.stale(found.manifest_sha256, "make ladder"))


def _name(row: LadderRow) -> str:
    return f"{row.artefact or 'network'} in {row.engine}"


def _row(row: LadderRow, place: int | None, is_on_front: bool) -> dict[str, object]:
    return {
        "number": place,
        "is_on_front": is_on_front,
        "artefact": row.artefact or "network",
        "engine": row.engine,
        "agreement": ABSENT if row.label_agreement is None else floored(row.label_agreement, 2),
        "miou": number(row.miou, 2),
        "change": against_pytorch(row.miou_change, row.miou_change_interval),
        "median": number(row.median_ms, 2),
        "p90": number(row.p90_ms, 2),
        "faster": ABSENT if row.faster_than_fp32 is None else f"{row.faster_than_fp32.value:.2f}x",
        "interval": _interval(row.faster_than_fp32),
        "why_not": row.not_run or row.refusal,
    }


def _interval(ratio: Ratio | None) -> str:
    return "" if ratio is None else f"95 % interval {ratio.low:.2f} to {ratio.high:.2f}"


SECTION = Section("front", "Accuracy against latency", "make ladder", build)
