"""Shares as people read them."""

from export.gates.shares import share_text

__all__ = ["floored"]


def floored(share: float, digits: int) -> str:
    """A share in percent, rounded down as gates do: 100 % is said of what is whole, and of nothing else."""
    return f"{100 * float(share_text(share, digits + 2)):.{digits}f} %"
