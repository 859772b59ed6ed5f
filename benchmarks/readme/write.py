"""`readme`: figures into a committed file, and from there into the pages, between markers that name a table."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.readme.extract import MethodFigures, extract_of, read_extract
from benchmarks.readme.table import every_method, results
from runtime.command import say
from runtime.errors import DataError
from runtime.files import write_json, write_text

__all__ = ["FIGURES", "ROOT", "TABLES", "filled", "write_readme"]

ROOT = Path(__file__).parents[2]
FIGURES = Path("docs/figures/methods.json")
TABLES: Mapping[str, tuple[str, Callable[[MethodFigures], str]]] = {
    "README.md": ("methods", results),
    "docs/methods_guide.md": ("every method", every_method),
}
"""Of each page the name of its table, and what makes it."""
END = "<!-- end -->"


def write_readme(methods: Path | None, *, root: Path = ROOT) -> Mapping[str, Any]:
    """Write the tables of the pages from the committed figures, taking those of a new comparison first if one is given.

    Args:
        methods: a document of `python -m benchmarks methods`; None keeps the figures that are committed.
        root: the checkout.

    Raises:
        DataError: a file cannot be read or is not what it should be; a page has no place for its table.
    """
    figures = read_extract(root / FIGURES) if methods is None else extract_of(_document(methods))
    # All of it is seen to be right before anything takes the place of what was there.
    before = {page: _page(root / page) for page in TABLES}
    after = {page: filled(before[page], name, make(figures), page) for page, (name, make) in TABLES.items()}
    if methods is not None:
        write_json(root / FIGURES, figures.model_dump(mode="json"))
    for page, text in after.items():
        write_text(root / page, text)
    changed = [page for page, text in after.items() if text != before[page]]
    say(f"{results(figures)}\nchanged: {', '.join(changed) or 'nothing'}")
    return {"pages": list(TABLES), "figures": str(FIGURES), "changed": changed}


def filled(text: str, name: str, table: str, page: str) -> str:
    """A page's text with a table between its markers.

    Raises:
        DataError: the markers are not there exactly once each, in order.
    """
    start = f"<!-- table: {name} -->"
    first, last = text.find(start), text.find(END)
    if text.count(start) != 1 or text.count(END) != 1 or last < first:
        raise DataError(
            f"{page} has {text.count(start)} times {start!r} and {text.count(END)} times {END!r}; its table goes "
            "between one of each, in this order: put them back where it is to stand"
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
            f"{path} cannot be read as JSON ({error}); `python -m benchmarks methods CONFIG` writes methods.json"
        ) from error
    if not isinstance(document, dict):
        raise DataError(
            f"{path} holds a {type(document).__name__}, not the document of a comparison; give methods.json"
        )
    return document
