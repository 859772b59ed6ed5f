"""The page as a program reads it: text, table rows and elements of each section."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["Opened", "open_page"]

VOID = {"img", "input", "meta", "link", "br", "hr"}


@dataclass
class Part:
    """Text of a section, the cells of its rows, and its elements as (tag, attributes)."""

    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class Opened(HTMLParser):
    """What the file holds; sections by id, all of it under the id ""."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.parts: dict[str, Part] = {"": Part()}
        self._section, self._stack = "", list[str]()
        self._is_cell = False
        self.feed(html)
        self.close()
        assert not self._stack, f"elements that are not closed: {self._stack}"

    def __getitem__(self, section: str) -> Part:
        return self.parts[section]

    @property
    def elements(self) -> list[tuple[str, dict[str, str]]]:
        """All elements of the file."""
        return [element for part in self.parts.values() for element in part.elements]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "section" and "id" in found:
            self._section = found["id"]
            self.parts[self._section] = Part()
        part = self.parts[self._section]
        part.elements.append((tag, found))
        if tag not in VOID:
            self._stack.append(tag)
        if tag == "tr":
            part.rows.append([])
        self._is_cell = self._is_cell or tag in ("td", "th")
        if tag in ("td", "th"):
            part.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts[self._section].elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._stack, f"</{tag}> closes nothing"
        opened = self._stack.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if tag in ("td", "th"):
            self._is_cell = False
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if "script" in self._stack or "style" in self._stack:
            return
        part = self.parts[self._section]
        part.text = " ".join(f"{part.text} {data}".split())
        if self._is_cell:
            part.rows[-1][-1] = " ".join(f"{part.rows[-1][-1]} {data}".split())


def open_page(path: Path) -> Opened:
    """Parse a report; elements that are not closed fail the test."""
    return Opened(path.read_text(encoding="utf-8"))
