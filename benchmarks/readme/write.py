"""`readme`: figures into a committed file, and from there into README.md between its markers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.readme.extract import extract_of, read_extract
from benchmarks.readme.table import results
from runtime.command import say
from runtime.errors import DataError
from runtime.files import write_json, write_text

__all__ = ["FIGURES", "README", "filled", "write_readme"]

ROOT = Path(__file__).parents[2]
README, FIGURES = ROOT / "README.md", ROOT / "docs" / "figures" / "methods.json"
START, END = "<!-- table: methods -->", "<!-- end -->"


def write_readme(methods: Path | None, *, readme: Path = README, figures: Path = FIGURES) -> Mapping[str, Any]:
    """Write README.md's results from the committed figures, taking those of a new comparison first where one is given.

    Args:
        methods: a document of `python -m benchmarks methods`; None keeps the figures that are committed.
        readme: the page.
        figures: the committed file.

    Raises:
        DataError: a file cannot be read or is not what it should be; the page has no place for the table.
    """
    if methods is not None:
        # Seen to be right before it takes the place of what was there.
        found = extract_of(_document(methods))
        filled(_page(readme), results(found))
        write_json(figures, found.model_dump(mode="json"))
    table = results(read_extract(figures))
    before = _page(readme)
    after = filled(before, table)
    write_text(readme, after)
    say(f"{table}\n{readme}: {'changed' if after != before else 'as it was'}")
    return {"readme": str(readme), "figures": str(figures), "changed": after != before}


def filled(page: str, table: str) -> str:
    """The page with a table between its markers.

    Raises:
        DataError: the markers are not there exactly once each, in order.
    """
    start, end = page.find(START), page.find(END)
    if page.count(START) != 1 or page.count(END) != 1 or end < start:
        raise DataError(
            f"the page has {page.count(START)} times {START!r} and {page.count(END)} times {END!r}; the results go "
            "between one of each, in this order: put them back where the table is to stand"
        )
    return f"{page[: start + len(START)]}\n{table}\n{page[end:]}"


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
