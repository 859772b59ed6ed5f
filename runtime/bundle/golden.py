"""Frames with the labels they had at export: an engine repeats them here before it is trusted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.backends.config import BackendConfig
from runtime.bundle.manifest import Artefact, BundleFile, Manifest
from runtime.bundle.serving import agreement_margin
from runtime.errors import BackendError, BundleError

__all__ = ["GoldenFrames", "read_golden", "require_golden"]


@dataclass(frozen=True, slots=True)
class GoldenFrames:
    """Frames (N, H, W, 3) and their labels (N, H, W), both uint8."""

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_golden(bundle: Path, manifest: Manifest) -> GoldenFrames:
    """Read the golden frames of a bundle, whose files the caller has verified.

    Raises:
        BundleError: a file holds something else than the manifest promises.
    """
    golden = manifest.golden
    shape = (golden.num_frames, *manifest.frame_hw)
    frames = _read_array(bundle, golden.frames, (*shape, 3))
    labels = _read_array(bundle, golden.labels, shape)
    if labels.max() >= len(manifest.classes):
        raise BundleError(
            f"bundle {bundle}: {golden.labels.file} holds class id {labels.max()}, but the manifest lists "
            f"{len(manifest.classes)} classes; export it again"
        )
    return GoldenFrames(frames, labels)


def require_golden(bundle: Path, artefact: Artefact, backend: BackendConfig, agreement: float) -> None:
    """Refuse an engine that gives other labels than the artefact gave at export.

    Args:
        bundle: for the message.
        artefact: what is served.
        backend: the engine.
        agreement: share of golden pixels with their labels.

    Raises:
        BackendError: it is less than at export, by more than rounding explains.
    """
    # Nothing less than equality is known of an artefact whose manifest does not say how it did.
    at_export = 1.0 if artefact.golden_agreement is None else artefact.golden_agreement
    margin = agreement_margin(artefact, backend)
    if agreement < at_export - margin:
        no_vnni = "; on a CPU without VNNI, INT8 needs export.int8.reduce_range" if artefact.precision == "int8" else ""
        raise BackendError(
            f"bundle {bundle} gives other labels here than at export: {artefact.file} with backend.provider="
            f"{backend.provider} has label agreement {agreement:.6f} on its golden frames, expected at least "
            f"{at_export - margin:.6g} ({at_export:.6f} at export, less {margin:g} for rounding); use another "
            f"backend, engine version or artefact, or export the bundle again{no_vnni}"
        )


def _read_array(bundle: Path, entry: BundleFile, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with (bundle / entry.file).open("rb") as file:
            array: NDArray[np.uint8] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BundleError(f"bundle {bundle}: {entry.file} is not an .npy file ({error}); export it again") from error
    if array.dtype != np.uint8 or array.shape != shape:
        raise BundleError(
            f"bundle {bundle}: {entry.file} holds {array.dtype} {array.shape}; the manifest promises uint8 {shape}; "
            "export it again"
        )
    return array
