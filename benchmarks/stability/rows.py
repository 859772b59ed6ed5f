"""Rows of several runs, matched by their names."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.samples import median_interval
from benchmarks.stability.document import Estimate, Figure, StabilityRow
from benchmarks.stability.figure import figure_of
from benchmarks.stability.runs import choice_of

__all__ = ["median_of_ours", "names_without_score", "rows_of"]


def rows_of(documents: Sequence[PeersDocument]) -> Iterator[StabilityRow]:
    """Rows that have a score in any run, but for what is the runtime's choice wherever it was measured."""
    for name in _names(documents):
        in_runs = [_scored(document, name) for document in documents]
        if not any(
            row is not None and row.name != choice_of(document).name
            for row, document in zip(in_runs, documents, strict=True)
        ):
            continue
        yield StabilityRow(
            name=name,
            precisions=tuple(dict.fromkeys(row.precision for row in in_runs if row is not None)),
            ours_is_faster=figure_of(
                [
                    None if row is None or row.name == choice_of(document).name else _ratio(row)
                    for row, document in zip(in_runs, documents, strict=True)
                ]
            ),
            median_ms=figure_of([None if row is None else _median_ms(row) for row in in_runs]),
        )


def median_of_ours(documents: Sequence[PeersDocument]) -> Figure:
    """The time of what the runtime chose in each run."""
    chosen = [_scored(document, choice_of(document).name) for document in documents]
    return figure_of([None if row is None else _median_ms(row) for row in chosen])


def names_without_score(documents: Sequence[PeersDocument]) -> Iterator[str]:
    """Rows that did not run anywhere, or whose score was refused everywhere."""
    for name in _names(documents):
        if all(_scored(document, name) is None for document in documents):
            yield name


def _names(documents: Sequence[PeersDocument]) -> list[str]:
    """In the order of the first document, then what only later ones have."""
    return list(dict.fromkeys(row.name for document in documents for row in document.rows))


def _scored(document: PeersDocument, name: str) -> PeerRow | None:
    return next((row for row in document.rows if row.name == name and row.samples_ns), None)


def _ratio(row: PeerRow) -> Estimate | None:
    ratio = row.ours_is_faster
    return None if ratio is None else Estimate(value=ratio.value, low=ratio.low, high=ratio.high)


def _median_ms(row: PeerRow) -> Estimate:
    """The interval is made here: `peers` keeps those of ratios alone."""
    median_ns, low_ns, high_ns = median_interval(np.array(row.samples_ns))
    return Estimate(value=median_ns / 1e6, low=low_ns / 1e6, high=high_ns / 1e6)
