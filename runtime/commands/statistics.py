"""Figures over all frames that the `segment` command segmented."""

from typing import Any

import numpy as np

from runtime.bundle.manifest import Manifest
from runtime.segmenter import Segmentation
from runtime.units import MILLISECOND_NS

__all__ = ["Statistics"]


class Statistics:
    """Latency and class shares over all frames segmented so far."""

    def __init__(self, manifest: Manifest) -> None:
        """Start with no frame counted."""
        self._names = [entry.name for entry in manifest.classes]
        self._num_pixels = np.zeros(len(self._names), dtype=np.int64)
        self._latencies_ns: list[int] = []

    def add(self, result: Segmentation) -> None:
        """Count one frame."""
        self._num_pixels += np.bincount(result.labels.ravel(), minlength=len(self._names))
        self._latencies_ns.append(result.latency_ns)

    @property
    def num_frames(self) -> int:
        """Frames counted so far."""
        return len(self._latencies_ns)

    def figures(self) -> dict[str, Any]:
        """Latency in milliseconds (a percentile is one that was measured) and the share of each class that occurs."""
        latency_ms = np.array(self._latencies_ns, dtype=np.float64) / MILLISECOND_NS
        shares = self._num_pixels / self._num_pixels.sum()
        return {
            "frames": self.num_frames,
            "latency_ms_p50": round(float(np.quantile(latency_ms, 0.5, method="higher")), 3),
            "latency_ms_max": round(float(latency_ms.max()), 3),
            "class_share": {
                name: round(float(share), 6) for name, share in zip(self._names, shares, strict=True) if share > 0
            },
        }

    def summary(self, num_expected: int | None) -> str:
        """The figures as text for people, the most frequent class first.

        Args:
            num_expected: how many frames the source promised; a damaged video may hold fewer.
        """
        figures = self.figures()
        by_share = sorted(figures["class_share"].items(), key=lambda item: item[1], reverse=True)
        lines = [f"  {name:<16}{share:7.2%}" for name, share in by_share]
        latency = f"latency p50 {figures['latency_ms_p50']} ms, max {figures['latency_ms_max']} ms"
        missing = f" of {num_expected} promised" if num_expected not in (None, self.num_frames) else ""
        return "\n".join([f"{self.num_frames}{missing} frames; {latency}; share of pixels by class:", *lines])
