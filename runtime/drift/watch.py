"""Tells the health when the world has left the one that the network was adapted to, and when it is back."""

import math
from collections.abc import Sequence

from runtime.bundle.known import KnownBundles
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import bundle_id_of
from runtime.drift.config import DriftConfig
from runtime.drift.detector import Departure, Detector
from runtime.drift.features import describe, features_of
from runtime.drift.reference import Reference
from runtime.health.monitor import Monitor
from runtime.health.reasons import Reason
from runtime.result import Result, Status
from runtime.units import SECOND_NS

__all__ = ["DriftWatch", "detector_of", "sentence"]

# The farthest departures say enough; the others follow from them more often than not.
NUM_TOLD = 3


def detector_of(config: DriftConfig, manifest: Manifest) -> Detector:
    """The test that a bundle's reference and the settings ask for."""
    return Detector(
        describe([one.name for one in manifest.classes]),
        manifest.reference,
        frames_between_false_alarms=config.frames_between_false_alarms,
        num_alike=math.ceil(config.independent_after_s / config.every_s),
    )


def sentence(departures: Sequence[Departure]) -> str:
    """What has changed, for people."""
    return f"the world has left the reference: {', '.join(_told(departure) for departure in departures[:NUM_TOLD])}"


class DriftWatch:
    """A sink that looks at a frame every `every_s` and sets or clears `Reason.DRIFTED`; see `runtime.drift.detector`.

    Args:
        config: how often it looks, and how rarely it may be wrong.
        known: the bundles whose results may come, with their references.
        monitor: hears of the drift.
    """

    def __init__(self, config: DriftConfig, known: KnownBundles, monitor: Monitor) -> None:
        self._config, self._known, self._monitor = config, known, monitor
        self._told = ""
        self._next_ns = 0
        self._reference: Reference | None = None
        self._follow(bundle_id_of(known.first))

    @property
    def evidence(self) -> float:
        """How near the test is to an alarm: 0 none, 1 alarm."""
        return self._detector.evidence

    def write(self, result: Result) -> None:
        """Look at a result if it is time to.

        Raises:
            SinkError: the result is of a bundle that is not known.
        """
        captured_ns = result.captured.captured_ns
        if captured_ns < self._next_ns:
            return
        self._next_ns = captured_ns + int(self._config.every_s * SECOND_NS)
        if result.bundle_id != self._bundle_id:
            self._follow(result.bundle_id)
        features = features_of(result.frame, result.labels, result.confidence, self._num_classes)
        departures = self._detector.look(features)
        # The figures move with every look; the sentence is renewed where something else has left or come back.
        keys = " ".join(sorted(f"{departure.feature.key}{departure.is_above}" for departure in departures))
        if departures and keys != self._told:
            self._monitor.set(Reason.DRIFTED, sentence(departures))
        elif not departures:
            self._monitor.clear(Reason.DRIFTED)
        self._told = keys

    def tell(self, status: Status) -> None:
        """The loop's own state says nothing of the world."""

    def close(self) -> None:
        """There is nothing to finish."""

    def _follow(self, bundle_id: str) -> None:
        manifest = self._known.manifest_of(bundle_id)
        before, self._reference = self._reference, manifest.reference
        self._bundle_id, self._num_classes = bundle_id, len(manifest.classes)
        if before == manifest.reference:
            # Other artefacts of the same network: what was seen of the world so far holds.
            return
        self._detector = detector_of(self._config, manifest)
        self._monitor.clear(Reason.DRIFTED)


def _told(departure: Departure) -> str:
    feature = departure.feature
    words = feature.higher if departure.is_above else feature.lower
    margin = "" if feature.is_root else f" +- {feature.told(departure.spread)}"
    return f"{words} ({feature.title} {feature.told(departure.recent)} against {feature.told(departure.mean)}{margin})"
