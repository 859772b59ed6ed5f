"""Shares as text."""

import math

__all__ = ["share_text"]


def share_text(share: float, digits: int) -> str:
    """A share of 1 with this many digits, rounded down: what is not wholly equal must not look so."""
    # What is an exact decimal may lie a last bit below it.
    scaled = math.floor(share * 10**digits + 1e-6)
    return f"{scaled / 10**digits:.{digits}f}"
