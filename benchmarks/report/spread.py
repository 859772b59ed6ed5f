"""Which of many frames are looked at: their place decides, nothing else."""

__all__ = ["spread"]


def spread(number: int, most: int) -> list[int]:
    """Up to `most` (at least 1) of so many indices, evenly spread: the first and the last are among two or more."""
    if number <= most:
        return list(range(number))
    if most == 1:
        return [number // 2]
    return [round(step * (number - 1) / (most - 1)) for step in range(most)]
