"""`stability`: several documents of `peers` beside each other, and which of their figures hold from run to run."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.document import PeersDocument
from benchmarks.stability.document import Run, StabilityDocument
from benchmarks.stability.facts import differences
from benchmarks.stability.page import stability_page, stability_text
from benchmarks.stability.rows import median_of_ours, names_without_score, rows_of
from benchmarks.stability.runs import choice_of, read_runs
from benchmarks.stability.verdict import middle_spread
from runtime.command import say
from runtime.files import writable_folder, write_json, write_text

__all__ = ["compare_runs"]

DOCUMENT_NAME, PAGE_NAME = "stability.json", "stability.md"


def compare_runs(paths: Sequence[Path], output: Path) -> dict[str, Any]:
    """Read what runs of `peers` wrote and compare them; write `stability.json` and `stability.md`.

    Nothing is measured here: times and ratios are those of the documents.

    Args:
        paths: two documents or more, of one network.
        output: folder of what is written.

    Returns:
        Key figures: `ratio_spread_percent` and `median_spread_percent`, in the middle of all rows; `stable_ratios` and
        `stable_medians`, names of rows whose intervals overlap; `ours` in each run; `differences` of the runs;
        `document` and `page`.

    Raises:
        DataError: a document is missing or damaged.
        ConfigError: they are fewer than two, of the same run, or of other networks; `output` cannot be written.
    """
    documents = read_runs(paths)
    folder = writable_folder(output)
    document = _compared(documents)
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, stability_page(document, DOCUMENT_NAME))
    say(stability_text(document))
    return _key_figures(document, folder)


def _compared(documents: Mapping[Path, PeersDocument]) -> StabilityDocument:
    found = list(documents.values())
    return StabilityDocument(
        created_unix_s=int(time.time()),
        network=found[0].network,
        frame_hw=found[0].frame_hw,
        network_hw=found[0].network_hw,
        runs=tuple(
            Run(
                document=path,
                created_unix_s=document.created_unix_s,
                ours=choice_of(document).name,
                scenario=document.scenario,
                num_rounds=document.num_rounds,
                manifest_sha256=document.manifest_sha256,
                checkpoint_sha256=document.checkpoint_sha256,
                environment=document.environment,
            )
            for path, document in documents.items()
        ),
        ours_median_ms=median_of_ours(found),
        rows=tuple(rows_of(found)),
        without_score=tuple(names_without_score(found)),
    )


def _key_figures(document: StabilityDocument, folder: Path) -> dict[str, Any]:
    # Of the same rows as the verdict: those whose ratios can be compared.
    rows = [row for row in document.rows if row.ours_is_faster.spread_percent is not None]
    return {
        "ratio_spread_percent": _rounded(middle_spread(rows, lambda row: row.ours_is_faster)),
        "median_spread_percent": _rounded(middle_spread(rows, lambda row: row.median_ms)),
        "stable_ratios": [row.name for row in rows if row.ours_is_faster.is_stable],
        "stable_medians": [row.name for row in rows if row.median_ms.is_stable],
        "ours": [run.ours for run in document.runs],
        "differences": differences(document.runs),
        "document": str(folder / DOCUMENT_NAME),
        "page": str(folder / PAGE_NAME),
    }


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 2)
