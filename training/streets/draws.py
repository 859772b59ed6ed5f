"""Random draws for sampling a scene: many small ones, cheaply, from one seeded generator."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["Draws"]

Option = TypeVar("Option")

_POOL_SIZE = 4096


class Draws:
    """Single draws from a generator, taken in pools: a scalar call to a generator costs ten times as much."""

    def __init__(self, generator: np.random.Generator) -> None:
        """Take draws from `generator`, which nobody else may use."""
        self._generator = generator
        self._pool: list[float] = []

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        if not self._pool:
            self._pool = self._generator.random(_POOL_SIZE).tolist()
        return self._pool.pop()

    def uniform(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def integer(self, low: int, high: int) -> int:
        """Uniform in low..high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options, all equally likely."""
        return options[int(self.unit() * len(options))]
