"""The bundle in service: what the loop asks for labels, and what opens its engine again."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.known import KnownBundles
from runtime.bundle.opening import bundle_id_of
from runtime.health.reasons import Health
from runtime.segmenter import Segmentation, Segmenter

__all__ = ["Served"]


class Served:
    """One segmenter at a time; used by the loop's thread alone.

    Args:
        open_segmenter: opens the bundle, again whenever its engine failed.

    Attributes:
        manifest: that of the bundle in service.
        bundle_id: see `bundle_id_of`.
        known: every bundle that was in service so far.
        num_swaps: how often another bundle took its place, the old one coming back among it.

    Raises:
        IapcError: as `Segmenter.open`.
    """

    def __init__(self, open_segmenter: Callable[[], Segmenter]) -> None:
        self._open_segmenter = open_segmenter
        self._segmenter = open_segmenter()
        self.manifest = self._segmenter.manifest
        self.bundle_id = bundle_id_of(self.manifest)
        self.num_swaps = 0
        self.known = KnownBundles(self.manifest)

    @property
    def segmenter(self) -> Segmenter:
        """The one in service, for what it says about itself."""
        return self._segmenter

    def segment(self, frame: NDArray[np.uint8]) -> Segmentation:
        """Segment one frame; see `Segmenter.segment`."""
        return self._segmenter.segment(frame)

    def swap_if_due(self, health: Health) -> None:
        """Between two frames: the moment at which another bundle may take the place of this one; here none does."""

    def restart(self) -> None:
        """Close the engine and open it again.

        Raises:
            IapcError: as `Segmenter.open`; the old engine is closed all the same.
        """
        self._segmenter.close()
        self._segmenter = self._open_segmenter()

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        self._segmenter.close()
