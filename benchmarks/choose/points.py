"""What there is to choose from: rows of ladders that have both a time and an accuracy, made comparable or refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import PixelCounts
from benchmarks.document import LadderDocument
from benchmarks.reading import read_document
from benchmarks.samples import percentiles_ms
from runtime.errors import ConfigError, DataError

__all__ = ["Point", "points_of", "read_ladders"]

UNSERVED = "PyTorch"


@dataclass(frozen=True, slots=True)
class Point:
    """An artefact of a bundle in an engine: `ms` from frame to labels, `miou` in percent, and what it comes from."""

    bundle: Path
    artefact: str
    engine: str
    precision: str
    ms: float
    miou: float
    counts: PixelCounts


def read_ladders(paths: Sequence[Path]) -> dict[Path, LadderDocument]:
    """Read the documents.

    Raises:
        DataError: one is missing, damaged, or does not tell its accuracy frame by frame.
        ConfigError: processors, thread counts, labelled frames or classes differ, so they cannot be compared.
    """
    documents = {path: _read(path) for path in paths}
    (first, reference), *others = documents.items()
    for path, document in others:
        for what, found, expected in (
            ("processor", document.environment.cpu, reference.environment.cpu),
            ("number of threads", document.environment.threads, reference.environment.threads),
            ("labelled frames", _tested_on(document), _tested_on(reference)),
            ("classes", document.classes, reference.classes),
        ):
            if found != expected:
                raise ConfigError(
                    f"{path} and {first} cannot be compared: {what} {found!r} there, {expected!r} here; measure both "
                    "with `python -m benchmarks ladder` on one machine, with the same `test` and `threads`, or name "
                    "those that belong together in benchmarks.choose.ladders"
                )
    return documents


def points_of(documents: dict[Path, LadderDocument], percentile: str) -> tuple[list[Point], list[str]]:
    """Points of all ladders, and for each row without one the reason.

    What PyTorch runs is left out: the runtime does not serve it.

    Raises:
        DataError: no row has both a time and an accuracy.
    """
    points, left_out = [], []
    for path, document in documents.items():
        bundle = Path(document.config["bundle"])
        for row in document.rows:
            if row.artefact is None or row.engine == UNSERVED:
                continue
            ms = percentiles_ms(np.array(row.samples_ns))[percentile] if row.samples_ns else None
            if ms is not None and row.miou is not None:
                counts = PixelCounts(row.class_pixels)
                points.append(Point(bundle, row.artefact, row.engine, row.precision, ms, row.miou, counts))
                continue
            reason = row.not_run or row.refusal
            if reason is None:
                reason = "no mIoU: set benchmarks.test" if row.miou is None else f"too few samples for {percentile}"
            left_out.append(f"{path.parent.name}: {row.artefact} in {row.engine}: {' '.join(reason.split())}")
    if not points:
        raise DataError(
            f"nothing to choose from in {', '.join(map(str, documents))}: no artefact has both a time and a mIoU "
            f"({'; '.join(left_out[:3]) or 'there are no rows'}); run `python -m benchmarks ladder` with `test` set"
        )
    return points, left_out


def _read(path: Path) -> LadderDocument:
    if not path.is_file():
        raise DataError(f"there is no {path}; `python -m benchmarks ladder` makes it")
    document: LadderDocument = read_document(path, LadderDocument, "python -m benchmarks ladder")
    if any(row.miou is not None and not row.class_pixels for row in document.rows):
        raise DataError(
            f"{path} has a mIoU without the pixels of each labelled frame, as earlier versions wrote it; run `python "
            "-m benchmarks ladder` again"
        )
    return document


def _tested_on(document: LadderDocument) -> tuple[str, int]:
    test: Any = document.config.get("test")
    return json.dumps(test, sort_keys=True), document.num_test_frames
