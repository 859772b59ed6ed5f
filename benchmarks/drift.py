"""`drift`: how soon the runtime notices frames of another domain, and how often it is wrong on those of its own.

Every frame runs once through the bundle, in the runtime; its features are then shown to the test in many orders. An
order is the frames as they come, or shuffled: neighbours of a drive resemble each other, which the test is told to
expect for so many looks and no longer, and shuffled frames do not.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.config import BenchmarksConfig, DriftBenchmarkConfig
from benchmarks.contenders import SEED
from benchmarks.drift_document import DriftDocument, DriftRow, drift_text
from runtime.bundle.manifest import MANIFEST_NAME
from runtime.command import progress, say
from runtime.drift.detector import Departure, Detector
from runtime.drift.features import features_of
from runtime.drift.watch import detector_of, sentence
from runtime.errors import ConfigError
from runtime.files import sha256_of, writable_folder, write_json
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig
from training.data.config import FramesConfig
from training.data.open import open_frames

__all__ = ["DOCUMENT_NAME", "measure_drift"]

DOCUMENT_NAME = "drift.json"
Features = NDArray[np.float32]


def measure_drift(config: BenchmarksConfig) -> dict[str, Any]:
    """Replay frames within and out of the bundle's domain through the test for drift; write `drift.json`.

    Returns:
        Key figures: looks within the domain, false alarms among them, delays, `document`.

    Raises:
        ConfigError: the config has no group `drift`.
        BundleError: the bundle cannot be served.
        DataError: a frame cannot be read.
        FrameError: a frame is not of the bundle's size.
    """
    asked = config.drift
    if asked is None:
        raise ConfigError(
            "benchmarks.drift is missing: give `within`, frames of the bundle's domain that its reference does not "
            "hold, and `beyond`, frames of another one, each a list of data sets as under `frames`"
        )
    folder = writable_folder(config.output)
    with Segmenter.open(config.bundle, RuntimeConfig(artefact=asked.artefact)) as segmenter:
        manifest = segmenter.manifest
        costs_ns: list[int] = []
        within = _features(segmenter, asked.within, "within", costs_ns)
        beyond = _features(segmenter, asked.beyond, "beyond", costs_ns)
    rng = np.random.default_rng(SEED)
    rows = []
    for number in progress(range(asked.num_orders), title="orders", unit="order"):
        ours, theirs = _ordered(within, number, rng), _ordered(beyond, number, rng)
        rows.append(_replayed(detector_of(asked.watch, manifest), ours, theirs, asked, is_shuffled=number > 0))
    detector = detector_of(asked.watch, manifest)
    document = DriftDocument(
        manifest_sha256=sha256_of(config.bundle / MANIFEST_NAME),
        artefact=asked.artefact,
        num_within=len(within),
        num_beyond=len(beyond),
        num_reference=manifest.reference.num_frames,
        num_independent=manifest.reference.num_independent,
        bound=detector.bound,
        features_ms=float(np.median(costs_ns)) / 1e6,
        rows=tuple(rows),
        config=config.model_dump(mode="json"),
    )
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    say(drift_text(document))
    return _key_figures(document, folder)


def _features(segmenter: Segmenter, sets: Sequence[FramesConfig], title: str, costs_ns: list[int]) -> Features:
    num_classes = len(segmenter.manifest.classes)
    rows = []
    for frames in (open_frames(one) for one in sets):
        for index in progress(range(len(frames)), title=title, unit="frame"):
            frame = frames.image(index)
            found = segmenter.segment(frame)
            start_ns = perf_counter_ns()
            rows.append(features_of(frame, found.labels, found.confidence, num_classes))
            costs_ns.append(perf_counter_ns() - start_ns)
    return np.stack(rows)


def _ordered(features: Features, number: int, rng: np.random.Generator) -> Features:
    """The first order is the frames' own; the others are drawn."""
    return features if number == 0 else features[rng.permutation(len(features))]


def _replayed(
    detector: Detector, within: Features, beyond: Features, asked: DriftBenchmarkConfig, *, is_shuffled: bool
) -> DriftRow:
    """All passes of the frames within; from the state they leave, all of those beyond; then back, until all is well."""
    looks = _repeated(within, asked.num_passes)
    is_alarm = [bool(detector.look(features)) for features in looks]
    false_alarms = int(np.count_nonzero(np.diff(np.array([False, *is_alarm]).astype(np.int8)) == 1))
    is_already = is_alarm[-1]
    delay, told = None, ""
    found: tuple[Departure, ...] = ()
    for number, features in enumerate(_repeated(beyond, asked.num_passes), start=1):
        found = detector.look(features)
        if found and delay is None and not is_already:
            delay, told = number, sentence(found)
    calm = (number for number, features in enumerate(looks, start=1) if not detector.look(features))
    return DriftRow(
        is_shuffled=is_shuffled,
        num_looks=len(looks),
        num_false_alarms=false_alarms,
        share_alarmed=float(np.mean(is_alarm)),
        delay=delay,
        is_already_alarmed=is_already,
        told=told,
        looks_until_clear=next(calm, None) if found else None,
    )


def _repeated(features: Features, num_passes: int) -> Features:
    return np.concatenate([features] * num_passes)


def _key_figures(document: DriftDocument, folder: Path) -> dict[str, Any]:
    delays = [row.delay for row in document.rows if row.delay is not None]
    clears = [row.looks_until_clear for row in document.rows if row.looks_until_clear is not None]
    return {
        "orders": len(document.rows),
        "looks_within": sum(row.num_looks for row in document.rows),
        "false_alarms": sum(row.num_false_alarms for row in document.rows),
        "detected": len(delays),
        "delay_median": float(np.median(delays)) if delays else None,
        "delay_max": max(delays, default=None),
        "clear_median": float(np.median(clears)) if clears else None,
        "clear_max": max(clears, default=None),
        "features_ms": round(document.features_ms, 3),
        "document": str(folder / DOCUMENT_NAME),
    }
