"""Which of the frames kept are worth most: those the network is unsure of, and that resemble no other."""

import numpy as np
from numpy.typing import NDArray

from runtime.drift.reference import Reference

__all__ = ["Selection", "Standard"]

# A feature that was the same in every reference frame has no spread; and one that is far out is far enough.
LEAST_SPREAD, FARTHEST = 0.02, 10.0
Point = NDArray[np.float32]


class Standard:
    """Features in units of their spread over the reference, so that distances weigh all of them alike."""

    def __init__(self, reference: Reference) -> None:
        known = reference.features
        self.keys = tuple(known)
        self._mean = np.array([known[key].mean for key in self.keys], dtype=np.float32)
        spread = np.array([known[key].spread for key in self.keys], dtype=np.float32)
        self._spread = np.maximum(spread, LEAST_SPREAD)

    def point(self, features: dict[str, float]) -> Point:
        """(D,) of features by key; one that is missing, as with other classes, counts as the reference's mean."""
        values = [features.get(key, float(mean)) for key, mean in zip(self.keys, self._mean, strict=True)]
        return np.clip((np.array(values, dtype=np.float32) - self._mean) / self._spread, -FARTHEST, FARTHEST)


class Selection:
    """Frames by name, each worth its uncertainty times the distance to the nearest other one.

    Adding or removing one costs its distances to all others, and not those among them.
    """

    def __init__(self, num_features: int) -> None:
        self.names: list[str] = []
        self._points = np.empty((0, num_features), dtype=np.float32)
        self._uncertainty = np.empty(0, dtype=np.float32)
        self._nearest = np.empty(0, dtype=np.float32)

    def add(self, name: str, point: Point, uncertainty: float) -> None:
        """One more frame: (D,), and 0 for a network that is sure of all of it."""
        distances = _distances(self._points, point)
        self._nearest = np.append(np.minimum(self._nearest, distances), distances.min(initial=np.inf))
        self._points = np.vstack((self._points, point))
        self._uncertainty = np.append(self._uncertainty, np.float32(uncertainty))
        self.names.append(name)

    def remove(self, name: str) -> None:
        """One frame less; those it was nearest to get another neighbour."""
        index = self.names.index(name)
        gone = self._points[index]
        del self.names[index]
        self._points = np.delete(self._points, index, axis=0)
        self._uncertainty, self._nearest = np.delete(self._uncertainty, index), np.delete(self._nearest, index)
        for other in np.flatnonzero(_distances(self._points, gone) <= self._nearest):
            distances = _distances(self._points, self._points[other])
            distances[other] = np.inf
            self._nearest[other] = distances.min()

    def least(self) -> str:
        """The frame that is worth least; there has to be one.

        Of equals the last one, so that the same frame again does not replace itself on disk, over and over.
        """
        # The only frame has no neighbour: whatever it is worth, none is worth less.
        worth = self._uncertainty * np.minimum(self._nearest, FARTHEST)
        return self.names[len(worth) - 1 - int(np.argmin(worth[::-1]))]


def _distances(points: NDArray[np.float32], point: Point) -> NDArray[np.float32]:
    """Root mean square over the features, (N,)."""
    found: NDArray[np.float32] = np.sqrt(np.mean((points - point) ** 2, axis=1))
    return found
