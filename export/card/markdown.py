"""Markdown of values that others wrote: a name of a class or of a file must not become a link, a table or a heading."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NOT_RECORDED", "QUESTION", "code_block", "question", "table", "told", "value_at"]

NOT_RECORDED = "not recorded"
"""What stands where the manifest says nothing."""
QUESTION = "To be filled in by the owner:"
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
# Addresses become links by themselves wherever they stand.
_ADDRESS = re.compile(r"(?i)(://|www\.)")


def told(value: object) -> str:
    """A value on one line, with no character that Markdown or HTML would read; `not recorded` for None."""
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(part for part in re.split(r"\s+", str(value)) if part)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    return _ADDRESS.sub(lambda found: found[0][0] + "&#8203;" + found[0][1:], text)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; every cell is told as above."""
    lines = [f"| {' | '.join(header)} |", f"|{':--|' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(told(cell) for cell in row)} |" for row in rows)])


def code_block(document: object) -> str:
    """Settings as they are. JSON in ASCII has no line that begins with the fence, nor a letter that hides another."""
    return f"```json\n{json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)}\n```"


def question(text: str) -> str:
    """Something that no manifest can know."""
    return f"> **{QUESTION}** {text}"


def value_at(document: Mapping[str, Any], *keys: str) -> Any:
    """A value of nested mappings; None where any of the keys is not there."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
