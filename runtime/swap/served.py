"""The bundle in service: what the loop asks for labels, and what opens its engine again."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.known import KnownBundles
from runtime.bundle.opening import bundle_id_of
from runtime.errors import BackendError, IapcError
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
        """Close the engine and open it again, for the same bundle.

        Raises:
            BackendError: it does not open, its bundle was replaced or damaged meanwhile; the old engine is closed all
                the same.
        """
        self._segmenter.close()
        try:
            segmenter = self._open_segmenter()
        except BackendError:
            raise
        except IapcError as error:
            # Whoever replaces a bundle may be in the middle of it: the loop tries again, as after any failure.
            raise BackendError(f"the engine cannot be opened again: {error}") from error
        found = bundle_id_of(segmenter.manifest)
        if found != self.bundle_id:
            segmenter.close()
            # Results name the bundle, and whoever reads them took its classes and frame size from it.
            raise BackendError(
                f"the bundle was replaced while it served: its engine has to be opened again, and {found[:12]} is "
                f"there instead of {self.bundle_id[:12]}; restart the service to take the new one, or set "
                "runtime.swap, with which it takes over without a stop"
            )
        self._segmenter = segmenter

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        self._segmenter.close()
