"""The same rows as Markdown, for pages, and as aligned text, for terminals."""

from collections.abc import Sequence

__all__ = ["ABSENT", "markdown_table", "number", "text_table"]

ABSENT = "-"
"""What stands where there is no figure."""


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
