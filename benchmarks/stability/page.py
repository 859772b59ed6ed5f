"""Runs beside each other as tables: Markdown for their page, aligned text for a terminal."""

from benchmarks.stability.document import Figure, StabilityDocument
from benchmarks.stability.facts import facts_of
from benchmarks.stability.verdict import verdict
from benchmarks.tables import ABSENT, markdown_table, text_table, with_interval

__all__ = ["stability_page", "stability_text"]

OURS = "what the runtime chose"


def stability_page(document: StabilityDocument, document_name: str) -> str:
    """The whole page, in Markdown; the document lies beside it under the given name."""
    lines = [
        f"# `{document.network}` in {len(document.runs)} runs",
        "",
        *(f"- {sentence}" for sentence in verdict(document)),
        "",
        "## Ours is faster, x",
        "",
        *markdown_table(_header(document), _ratios(document)),
        "",
        "## Median, ms",
        "",
        *markdown_table(_header(document), _medians(document)),
        "",
        *(f"- {line}" for line in _legend(document)),
        "",
        "## The runs",
        "",
        *markdown_table(["", *_titles(document), ""], _facts(document)),
        "",
        *(f"- {title}: `{run.document}`" for title, run in zip(_titles(document), document.runs, strict=True)),
        "",
        f"Document: [{document_name}]({document_name})",
    ]
    return "\n".join(lines) + "\n"


def stability_text(document: StabilityDocument) -> str:
    """Both tables, which run is which, and the verdict for a terminal."""
    return "\n".join(
        [
            "ours is faster, x",
            text_table(_header(document), _ratios(document), num_left=2),
            "",
            "median, ms",
            text_table(_header(document), _medians(document), num_left=2),
            "",
            *(
                f"{title}: {run.document}, ours is {run.ours}"
                for title, run in zip(_titles(document), document.runs, strict=True)
            ),
            *verdict(document),
        ]
    )


def _titles(document: StabilityDocument) -> list[str]:
    return [f"run {number}" for number in range(1, len(document.runs) + 1)]


def _header(document: StabilityDocument) -> list[str]:
    return ["from a decoded frame to its label map", "computes in", *_titles(document), "spread", "intervals"]


def _ratios(document: StabilityDocument) -> list[list[str]]:
    return [
        [row.name, ", ".join(row.precisions), *_cells(row.ours_is_faster)]
        for row in document.rows
        if any(row.ours_is_faster.by_run)
    ]


def _medians(document: StabilityDocument) -> list[list[str]]:
    rows = [[row.name, ", ".join(row.precisions), *_cells(row.median_ms)] for row in document.rows]
    return [[OURS, "", *_cells(document.ours_median_ms)], *rows]


def _cells(figure: Figure) -> list[str]:
    overlap = {True: "overlap", False: "apart", None: ABSENT}[figure.is_stable]
    spread = ABSENT if figure.spread_percent is None else f"{figure.spread_percent:.1f} %"
    return [*(with_interval(estimate) for estimate in figure.by_run), spread, overlap]


def _facts(document: StabilityDocument) -> list[list[str]]:
    return [[fact.name, *fact.by_run, "differs" if fact.differs else ""] for fact in facts_of(document.runs)]


def _legend(document: StabilityDocument) -> list[str]:
    frame, seen = (f"{height} x {width}" for height, width in (document.frame_hw, document.network_hw))
    lines = [
        f"Network: {document.network}, which sees frames of {frame} pixels (height x width) at {seen}.",
        "In brackets the 95 % bootstrap interval within each run, which knows nothing of other days. Spread: by how "
        "much the largest value exceeds the smallest. Intervals overlap where one value would be within all of them, "
        "which wide ones do sooner.",
        f"`{ABSENT}`: not measured in that run, or, in place of a ratio, the row is the runtime's own choice there.",
    ]
    if document.without_score:
        lines.append(f"Without a score in any run: {'; '.join(document.without_score)}.")
    return lines
