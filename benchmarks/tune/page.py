"""What was tried as tables: Markdown for the page, aligned text for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.samples import MIN_SAMPLES
from benchmarks.tables import ABSENT, markdown_table, number, share, text_table, with_interval
from benchmarks.tune.document import TuneDocument, TuneRow

__all__ = ["RUNS", "tune_legend", "tune_page", "tune_text", "verdict"]

RUNS = (
    ("last", "Against the default", "What helped, measured anew with the runtime's own choice beside it."),
    (
        "options",
        "One option at a time",
        "Each below the setting that it differs from in that option, and compared with it.",
    ),
    ("pairs", "Every artefact in every engine", "Options as they are by default."),
)
"""Field of the document, title and what it shows, in the page's order."""


def tune_page(document: TuneDocument, bundle: Path, document_name: str, picture_name: str) -> str:
    """The whole page, in Markdown.

    Args:
        document: what was tried.
        bundle: named in the title.
        document_name: file of the document, beside the page.
        picture_name: file of the picture, beside the page.
    """
    lines = [f"# `{bundle}`, tuned to this machine", "", verdict(document), ""]
    if document.runtime_yaml is not None:
        lines += ["```yaml", *document.runtime_yaml.splitlines(), "```", ""]
    lines += [f"![Median time of each setting, and what it costs the cores]({picture_name})", ""]
    for field, title, purpose in RUNS:
        rows: Sequence[TuneRow] = getattr(document, field)
        if rows:
            cells = [_cells(document, row) for row in rows]
            lines += [f"## {title}", "", purpose, "", *markdown_table(_header(document), cells), ""]
    lines += [
        *(f"- {line}" for line in tune_legend(document)),
        "",
        *document.environment.table(),
        "",
        f"Document, with every sample: [{document_name}]({document_name})",
    ]
    return "\n".join(lines) + "\n"


def tune_text(document: TuneDocument) -> str:
    """Tables, legend, and what to write into the run file, for a terminal: what matters most last."""
    blocks = []
    for field, title, _ in reversed(RUNS):
        rows: Sequence[TuneRow] = getattr(document, field)
        if rows:
            cells = [_cells(document, row) for row in rows]
            blocks.append(f"{title}\n{text_table(_header(document), cells)}\n")
    yaml = [] if document.runtime_yaml is None else ["For the run file:\n", document.runtime_yaml.rstrip("\n")]
    return "\n".join([*blocks, *tune_legend(document), "", verdict(document), *yaml])


def verdict(document: TuneDocument) -> str:
    """What to take, what it brings and what it costs, in a sentence or two."""
    best, default = document.row(document.best), document.row(document.default)
    if best is None or default is None:
        return "Nothing that runs here has a score."
    if best == default:
        return (
            f"Nothing was faster than the default, {best.setting}: {number(best.median_ms, 2)} ms a frame, for "
            f"{number(best.cpu_ms, 1)} ms of CPU time."
        )
    ratio = document.speedup
    assert ratio is not None
    return (
        f"{best.setting} takes {number(best.median_ms, 2)} ms a frame, {ratio.value:.2f} times ({ratio.low:.2f} to "
        f"{ratio.high:.2f}) as fast as the default, {default.setting}, with {number(default.median_ms, 2)} ms. "
        f"It costs {number(best.cpu_ms, 1)} ms of CPU time a frame, the default {number(default.cpu_ms, 1)} ms."
    )


def _header(document: TuneDocument) -> list[str]:
    return [
        "setting",
        "median ms",
        *(["p90 ms"] if document.num_rounds >= MIN_SAMPLES["p90"] else []),
        "CPU ms a frame",
        "label agreement",
        "x as fast (95 %)",
        "",
    ]


def _cells(document: TuneDocument, row: TuneRow) -> list[str]:
    return [
        row.setting,
        number(row.median_ms, 2),
        *([number(row.p90_ms, 2)] if document.num_rounds >= MIN_SAMPLES["p90"] else []),
        number(row.cpu_ms, 1),
        share(row.label_agreement, 4),
        with_interval(row.ratio),
        _remark(document, row),
    ]


def _remark(document: TuneDocument, row: TuneRow) -> str:
    if row.refusal is not None:
        return f"no score: {' '.join(row.refusal.split())}"
    if row.against is None:
        return "default" if row.setting == document.default else "what its options are compared with"
    return row.verdict or ABSENT


def tune_legend(document: TuneDocument) -> list[str]:
    """What the figures mean, a sentence or two each, and what was not tried."""
    named = document.config.get("tune", {}).get("artefacts")
    among = f", among {', '.join(named)}, which `tune.artefacts` names" if named else ""
    return [
        f"Latency: {document.scenario}. Median of {document.num_rounds} frames each, taking turns in an order drawn "
        f"anew; none dropped. Threads by default: {document.environment.threads}.",
        f"Default: the runtime's own choice (`backend.provider: auto`{among}). Faster or slower is said only where the "
        "whole 95 % bootstrap interval of the ratio lies on one side of 1; of twenty options that do nothing, one is "
        "still called so by chance, which is why what helped is measured anew.",
        "CPU ms: time of all cores together for a frame and the rest after it. Threads that spin while they wait "
        "(`is_spinning`) begin the next frame sooner, and keep their cores from everything else between frames: on a "
        "machine that has other work, the smaller number may be the better choice.",
        f"Label agreement: share of pixels with the label of PyTorch eager in float32, on {document.num_compared} "
        "frames. What falls short of the manifest's promise has no score.",
        *document.notes,
    ]
