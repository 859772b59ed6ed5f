"""`readme`: figures into committed files, and from there into the pages, between markers that name a table."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.adaptation.document import AdaptationDocument
from benchmarks.peers.document import PeersDocument
from benchmarks.readme.adaptation import step_results
from benchmarks.readme.extract import MethodFigures, extract_of
from benchmarks.readme.figures import document_of, read_figures
from benchmarks.readme.peers import peers_brief, peers_of, peers_results
from benchmarks.readme.table import every_method, results
from runtime.command import say
from runtime.config import StrictModel
from runtime.errors import DataError
from runtime.files import write_json, write_text

__all__ = ["ROOT", "SOURCES", "Source", "filled", "write_readme"]

ROOT = Path(__file__).parents[2]
END = "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from and where they are shown.

    `figures` is the committed file of a `model`, which `extract` makes from the document of a command; `tables` has for
    each page the name of its table and what makes it from the figures.
    """

    figures: Path
    model: type[StrictModel]
    extract: Callable[[Mapping[str, Any]], StrictModel]
    tables: Mapping[str, tuple[str, Callable[[Any], str]]]


SOURCES: Mapping[str, Source] = {
    "methods": Source(
        Path("docs/figures/methods.json"),
        MethodFigures,
        extract_of,
        {"README.md": ("methods", results), "docs/methods_guide.md": ("every method", every_method)},
    ),
    "peers": Source(
        Path("docs/figures/peers.json"),
        PeersDocument,
        peers_of,
        {"README.md": ("speed", peers_brief), "docs/benchmarks.md": ("peers", peers_results)},
    ),
    "adaptation": Source(
        Path("docs/figures/adaptation.json"),
        AdaptationDocument,
        lambda document: document_of(document, AdaptationDocument, "adapt", "adaptation.json"),
        {"docs/training.md": ("step", step_results)},
    ),
}
"""By the command that measures them."""


def write_readme(documents: Mapping[str, Path], *, root: Path = ROOT) -> Mapping[str, Any]:
    """Write the tables of the pages from the committed figures, taking those of new documents first.

    Args:
        documents: by the command that wrote them; of a command that is not there the committed figures stay.
        root: the checkout.

    Raises:
        DataError: a file cannot be read or is not what it should be; a page has no place for its table.
    """
    # All of it is seen to be right before anything takes the place of what was there.
    new = {name: SOURCES[name].extract(_document(path)) for name, path in documents.items()}
    figures = {
        name: new.get(name) or read_figures(root / source.figures, source.model, name)
        for name, source in SOURCES.items()
    }
    pages = {page for source in SOURCES.values() for page in source.tables}
    before = {page: _page(root / page) for page in sorted(pages)}
    after = dict(before)
    for name, source in SOURCES.items():
        for page, (table, make) in source.tables.items():
            after[page] = filled(after[page], table, make(figures[name]), page)
    for name, found in new.items():
        write_json(root / SOURCES[name].figures, found.model_dump(mode="json"))
    for page, text in after.items():
        write_text(root / page, text)
    changed = [page for page, text in after.items() if text != before[page]]
    say(f"changed: {', '.join(changed) or 'nothing'}")
    return {
        "pages": list(after),
        "figures": [str(source.figures) for source in SOURCES.values()],
        "changed": changed,
    }


def filled(text: str, name: str, table: str, page: str) -> str:
    """A page's text with a table between its markers.

    Raises:
        DataError: the table's marker is not there exactly once, with an end behind it.
    """
    start = f"<!-- table: {name} -->"
    first = text.find(start)
    last = text.find(END, first)
    if text.count(start) != 1 or last < first or text.find("<!-- table: ", first + 1, last) != -1:
        raise DataError(
            f"{page} has {text.count(start)} times {start!r}, and needs it once with {END!r} behind it and no other "
            "table in between: put both back where it is to stand"
        )
    return f"{text[: first + len(start)]}\n{table}\n{text[last:]}"


def _page(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); run the command in a checkout") from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({error}); give methods.json of `python -m benchmarks methods`, peers.json "
            "of `peers` or adaptation.json of `adapt`"
        ) from error
    if not isinstance(document, dict):
        raise DataError(
            f"{path} holds a {type(document).__name__}, not the document of a command; give methods.json, peers.json "
            "or adaptation.json"
        )
    return document
