"""Shares and changes as people read them."""

from benchmarks.tables import change
from export.gates.shares import share_text

__all__ = ["against_pytorch", "floored"]


def floored(share: float, digits: int) -> str:
    """A share in percent, rounded down as gates do: 100 % is said of what is whole, and of nothing else."""
    return f"{100 * float(share_text(share, digits + 2)):.{digits}f} %"


def against_pytorch(value: float | None, interval: tuple[float, float] | None) -> str:
    """A change of mIoU for a tooltip; nothing for None."""
    return "" if value is None else f"{change(value, interval)} points against PyTorch"
