"""The same rows as Markdown, for pages, and as aligned text, for terminals."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ABSENT", "Interval", "change", "markdown_table", "number", "share", "text_table", "with_interval"]

ABSENT = "-"
"""What stands where there is no figure."""


class Interval(Protocol):
    """A value and the ends of its interval."""

    @property
    def value(self) -> float:
        """What was found."""
        ...

    @property
    def low(self) -> float:
        """The lower end."""
        ...

    @property
    def high(self) -> float:
        """The upper end."""
        ...


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table: the first column to the left, figures to the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    head, *body = (f"| {' | '.join(row)} |" for row in cells)
    return [head, f"|:--|{'--:|' * (len(header) - 1)}", *body]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int = 1) -> str:
    """Aligned text: the first `num_left` columns and those without a name to the left, figures to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < num_left or not name else cell.rjust(width)
            for index, (cell, width, name) in enumerate(zip(row, widths, header, strict=True))
        ).rstrip()
        for row in (header, *rows)
    )


def number(value: float | None, digits: int, *, is_signed: bool = False) -> str:
    """A number with so many digits after the point, and its sign if asked for; `-` for None."""
    if value is None:
        return ABSENT
    # Adding zero takes the sign off what rounds to zero.
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if is_signed else f"{rounded:.{digits}f}"


def change(value: float | None, interval: tuple[float, float] | None) -> str:
    """A signed difference with its interval where it has one, two digits after the point each; `-` for None."""
    ends = "" if interval is None else " ({} to {})".format(*(number(end, 2, is_signed=True) for end in interval))
    return f"{number(value, 2, is_signed=True)}{ends}"


def share(value: float | None, digits: int) -> str:
    """A share in percent with so many digits after the point; `-` for None."""
    return ABSENT if value is None else f"{value:.{digits}%}"


def with_interval(found: Interval | None) -> str:
    """A value with its interval, two digits after the point each; `-` for None."""
    return ABSENT if found is None else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
