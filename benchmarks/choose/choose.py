"""`choose`: the fastest within a budget of milliseconds that loses next to nothing against the most accurate there."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import Lead
from benchmarks.choose.config import ChooseConfig
from benchmarks.choose.document import Candidate, ChooseDocument, LadderFile
from benchmarks.choose.front import fastest_front, leads_within, recommended
from benchmarks.choose.page import choose_page, choose_text, verdict
from benchmarks.choose.picture import draw_choose
from benchmarks.choose.points import Point, points_of, read_ladders
from runtime.command import say
from runtime.errors import DataError, GateError
from runtime.files import sha256_of, writable_folder, write_json, write_text

__all__ = ["choose"]

DOCUMENT_NAME, PAGE_NAME, PICTURE_NAME = "choose.json", "choose.md", "choose.png"
RUNS = Path("runs")


def choose(config: ChooseConfig, output: Path) -> dict[str, Any]:
    """Read the ladders, find the front and recommend; write `choose.json`, `choose.md` and `choose.png`.

    Nothing is measured here: times and accuracies are those of the ladders.

    Returns:
        Key figures: `recommended`, with bundle, artefact, engine, `ms`, `miou` and the `lead` of the most accurate
        within the budget with its `lead_interval`, or None; `front`, the number of its points; `document`,
        `page` and `picture`.

    Raises:
        DataError: there is no ladder, one is damaged, or none has both a time and an accuracy.
        ConfigError: ladders cannot be compared.
        GateError: nothing is within the budget; everything was written all the same.
    """
    paths = config.ladders or tuple(sorted(RUNS.glob("*/ladder.json")))
    if not paths:
        raise DataError(f"there is no {RUNS}/*/ladder.json to choose from; `make ladder` makes one for a bundle")
    documents = read_ladders(paths)
    points, left_out = points_of(documents, config.percentile)
    points.sort(key=lambda point: (point.ms, -point.miou))
    front = fastest_front(points)
    leads = [] if config.budget_ms is None else leads_within(front, config.budget_ms)
    chosen = recommended(leads, config.max_loss)
    document = ChooseDocument(
        created_unix_s=int(time.time()),
        percentile=config.percentile,
        budget_ms=config.budget_ms,
        max_loss=config.max_loss,
        candidates=tuple(_candidate(point, front, leads) for point in points),
        recommended=None if chosen is None else points.index(chosen),
        most_accurate=points.index(leads[-1][0]) if leads else None,
        left_out=tuple(left_out),
        ladders=tuple(LadderFile(path=path, sha256=sha256_of(path)) for path in paths),
        environment=documents[paths[0]].environment,
        config=config.model_dump(mode="json"),
    )
    folder = writable_folder(output)
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, choose_page(document, DOCUMENT_NAME, PICTURE_NAME))
    draw_choose(document, folder / PICTURE_NAME)
    say(choose_text(document))
    figures = _key_figures(document, folder)
    if config.budget_ms is not None and chosen is None:
        raise GateError(verdict(document), figures=figures)
    return figures


def _candidate(point: Point, front: Sequence[Point], leads: Sequence[tuple[Point, Lead]]) -> Candidate:
    lead = next((lead for found, lead in leads if found is point), None)
    return Candidate(
        bundle=point.bundle,
        artefact=point.artefact,
        engine=point.engine,
        precision=point.precision,
        ms=point.ms,
        miou=point.miou,
        is_on_front=any(found is point for found in front),
        lead=None if lead is None else lead.value,
        lead_interval=None if lead is None else lead.interval,
    )


def _key_figures(document: ChooseDocument, folder: Path) -> dict[str, Any]:
    chosen = None if document.recommended is None else document.candidates[document.recommended]
    return {
        "recommended": None
        if chosen is None
        else {
            "bundle": str(chosen.bundle),
            "artefact": chosen.artefact,
            "engine": chosen.engine,
            "ms": round(chosen.ms, 3),
            "miou": round(chosen.miou, 3),
            "lead": None if chosen.lead is None else round(chosen.lead, 3),
            "lead_interval": None if chosen.lead_interval is None else [round(end, 3) for end in chosen.lead_interval],
        },
        "front": sum(found.is_on_front for found in document.candidates),
        "document": str(folder / DOCUMENT_NAME),
        "page": str(folder / PAGE_NAME),
        "picture": str(folder / PICTURE_NAME),
    }
