"""Opens a bundle and segments frames: the part of this project that a vehicle embeds.

with Segmenter.open(Path("bundle")) as segmenter:
    result = segmenter.segment(frame)
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime.backends import Backend, LogitsLayout, open_backend
from runtime.bundle import read_manifest, verified_path
from runtime.errors import BackendError, BundleError
from runtime.frames import check_frame
from runtime.manifest import Artefact, BundleFile, Manifest
from runtime.serving import agreement_margin, choose_artefact
from runtime.settings import BackendConfig, RuntimeConfig

__all__ = ["Segmentation", "Segmenter"]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the network says about one frame.

    `labels` (H, W) are train ids and `confidence` (H, W) is 255 at certainty; both uint8, read-only, and
    overwritten by the next call: copy what must live longer. `copy_ns` is the time to check the frame and make
    it contiguous, `infer_ns` that of the engine, transfers to and from its device included.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    copy_ns: int
    infer_ns: int

    @property
    def latency_ns(self) -> int:
        """Time from the frame to its labels."""
        return self.copy_ns + self.infer_ns


class Segmenter:
    """A bundle that is verified, loaded and proven to give the labels it gave at export; for one thread.

    Attributes:
        manifest: what the bundle says about itself.
    """

    def __init__(self, manifest: Manifest, backend: Backend) -> None:
        """Wrap a backend that already runs the manifest's network; `open` is the checked way."""
        self.manifest = manifest
        self._backend = backend
        self._contiguous = np.empty((1, manifest.frame_height, manifest.frame_width, 3), dtype=np.uint8)

    @classmethod
    def open(cls, bundle: Path, config: RuntimeConfig | None = None) -> Self:
        """Verify every file of a bundle, load its network, warm it up and repeat the golden frames.

        Args:
            bundle: folder that `python -m export` wrote.
            config: how to serve it; None takes the defaults.

        Raises:
            BundleError: a file is missing or altered, or no artefact can be served; nothing was loaded.
            BackendError: the engine is missing, refuses the network, or gives other labels than at export.
        """
        config = config or RuntimeConfig()
        manifest = read_manifest(bundle, config.public_key)
        paths = {entry.file: verified_path(bundle, entry) for entry in manifest.files}
        artefact = choose_artefact(bundle, manifest, config.artefact, config.backend)
        frames, labels = _read_golden(bundle, manifest)
        layout = LogitsLayout(len(manifest.classes), manifest.align_corners)
        with ExitStack() as on_failure:
            backend = open_backend(
                config.backend,
                paths[artefact.file],
                frame_height=manifest.frame_height,
                frame_width=manifest.frame_width,
                logits=layout if artefact.tail == "logits" else None,
            )
            on_failure.callback(backend.close)
            segmenter = cls(manifest, backend)
            # Engines plan memory and choose kernels in their first call; only the second one is typical.
            segmenter.segment(frames[0])
            agreement = segmenter._golden_agreement(frames, labels)
            _require_golden(bundle, artefact, config.backend, agreement)
            on_failure.pop_all()
        return segmenter

    def segment(self, frame: NDArray[np.uint8]) -> Segmentation:
        """Segment one frame.

        Args:
            frame: (H, W, 3) uint8 RGB of the manifest's frame size.

        Raises:
            FrameError: the frame has another type or shape.
            BackendError: the engine failed, or the segmenter is closed.
        """
        start_ns = perf_counter_ns()
        check_frame(frame, self.manifest.frame_height, self.manifest.frame_width)
        if frame.flags.c_contiguous:
            contiguous = frame[np.newaxis]
        else:
            contiguous = self._contiguous
            np.copyto(contiguous[0], frame)
        copied_ns = perf_counter_ns()
        labels, confidence = self._backend.infer(contiguous)
        return Segmentation(labels[0], confidence[0], copied_ns - start_ns, perf_counter_ns() - copied_ns)

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        self._backend.close()

    def __enter__(self) -> Self:
        """Return the segmenter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the segmenter."""
        self.close()

    def _golden_agreement(self, frames: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
        num_equal = sum(
            int(np.count_nonzero(self.segment(frame).labels == expected))
            for frame, expected in zip(frames, labels, strict=True)
        )
        return num_equal / labels.size


def _require_golden(bundle: Path, artefact: Artefact, backend: BackendConfig, agreement: float) -> None:
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


def _read_golden(bundle: Path, manifest: Manifest) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    golden = manifest.golden
    shape = (golden.num_frames, manifest.frame_height, manifest.frame_width)
    frames = _read_array(bundle, golden.frames, (*shape, 3))
    labels = _read_array(bundle, golden.labels, shape)
    if labels.max() >= len(manifest.classes):
        raise BundleError(
            f"bundle {bundle}: {golden.labels.file} holds class id {labels.max()}, but the manifest lists "
            f"{len(manifest.classes)} classes; export it again"
        )
    return frames, labels


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
