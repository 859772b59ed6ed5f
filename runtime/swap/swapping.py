"""A bundle in service that makes way for another between two frames; the loop's side, which never waits.

See runtime/swap/successor.py for how the other one got there.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import BackendError
from runtime.health.monitor import Monitor
from runtime.health.reasons import Health
from runtime.segmenter import Segmentation
from runtime.swap.config import SwapConfig
from runtime.swap.first import open_first
from runtime.swap.handover import Handover, Opened
from runtime.swap.probation import Probation
from runtime.swap.served import Served
from runtime.swap.store import Store
from runtime.swap.successor import Successor

__all__ = ["SwappingServed"]


class SwappingServed(Served):
    """Serves the last good bundle, else the one at `bundle`, and whatever comes there later and proves itself.

    Args:
        bundle: folder, or link to one, at which new bundles appear.
        store: keeps their copies, and opens them.
        monitor: hears of bundles that are refused, and of one that takes over.
        config: what they must prove.
        end_s: longest that `close` waits for a bundle that is just being opened.

    Raises:
        IapcError: there is no good copy and the bundle cannot be served; as `Segmenter.open`.
    """

    def __init__(self, bundle: Path, store: Store, monitor: Monitor, config: SwapConfig, *, end_s: float) -> None:
        super().__init__(lambda: open_first(bundle, store))
        self._store, self._monitor, self._num_probation_frames = store, monitor, config.num_probation_frames
        self._serve(Opened(self._segmenter, self.bundle_id))
        self._probation: Probation | None = None
        self._previous: Opened | None = None
        self._handover = Handover()
        self._successor = Successor(bundle, store, self, self._handover, monitor=monitor, config=config, end_s=end_s)
        self._successor.start()

    def segment(self, frame: NDArray[np.uint8]) -> Segmentation:
        """Segment one frame, and lend it to a bundle on trial; see `Segmenter.segment`."""
        shadow, probation = self._handover.shadow, self._probation
        if shadow is not None:
            shadow.begins()
        if probation is not None:
            probation.num_left -= 1
        try:
            segmentation = self._segmenter.segment(frame)
        except BackendError as error:
            if probation is not None:
                probation.failure = str(error)
            raise
        if shadow is not None:
            shadow.segmented(frame, segmentation)
        return segmentation

    def swap_if_due(self, health: Health) -> None:
        """Between two frames: swap, swap back, or end a probation, if it is time to.

        Raises:
            Exception: what ended the successor's thread, which is a bug of ours.
        """
        if self._successor.error is not None:
            raise self._successor.error
        if self._probation is not None:
            problem = self._probation.problem(health)
            if problem is not None:
                self._roll_back(problem)
            elif self._probation.num_left <= 0:
                self._retire(self._previous, None)
            return
        offered = self._handover.take()
        if offered is not None:
            self._previous = Opened(self._segmenter, self.bundle_id)
            self._monitor.another_bundle()
            self._probation = Probation(self._num_probation_frames, health.reasons)
            self._serve(offered)
            self.num_swaps += 1

    def restart(self) -> None:
        """Open the engine again, or, during probation, bring back the old bundle, whose engine is open.

        Raises:
            BackendError: as `Served.restart`.
        """
        if self._probation is None:
            super().restart()
        else:
            self._roll_back(self._probation.failure or "its outputs could not be used")

    def close(self) -> None:
        """End the thread, and give back all memory but that of a bundle that is being opened and takes too long."""
        self._successor.end()
        offered = self._handover.take()
        for opened in (offered, self._previous):
            if opened is not None:
                opened.segmenter.close()
        super().close()

    def _serve(self, opened: Opened) -> None:
        self._segmenter, self.bundle_id = opened.segmenter, opened.bundle_id
        self.manifest = opened.segmenter.manifest
        # From the copy: by now the bundle's path may hold another one.
        self._open_segmenter = partial(self._store.open, opened.bundle_id)
        self.known.know(self.manifest)

    def _roll_back(self, problem: str) -> None:
        assert self._previous is not None
        failed = Opened(self._segmenter, self.bundle_id)
        self._serve(self._previous)
        self.num_swaps += 1
        self._retire(failed, problem)

    def _retire(self, opened: Opened | None, problem: str | None) -> None:
        assert opened is not None
        self._probation = self._previous = None
        self._handover.retire(opened, problem)
