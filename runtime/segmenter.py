"""Opens a bundle and segments frames: the part of this project that a vehicle embeds.

with Segmenter.open(Path("bundle")) as segmenter:
    result = segmenter.segment(frame)
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime.backends.config import AutoConfig, BackendConfig
from runtime.backends.open import Backend, open_backend
from runtime.backends.tensors import LogitsLayout
from runtime.bundle.golden import GoldenFrames, read_golden, require_golden
from runtime.bundle.manifest import Artefact, Manifest
from runtime.bundle.opening import read_manifest, verified_path
from runtime.bundle.serving import choose_artefact
from runtime.frames import check_frame
from runtime.race.contenders import Contender
from runtime.race.fastest import open_fastest
from runtime.settings import RuntimeConfig

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
        artefact: what is served; None where the segmenter was not made by `open`.
        backend: the engine that serves it, also where the config left the choice to a race; None as above.
        opening: nanoseconds of each stage of opening, one after the other: `verify`, `choose` (with
            `backend.provider` auto: the race, or the look-up of its winner), `load`, `warm_up`, `golden`.
    """

    def __init__(
        self,
        manifest: Manifest,
        backend: Backend,
        *,
        artefact: Artefact | None = None,
        config: BackendConfig | None = None,
    ) -> None:
        """Wrap a backend that already runs the manifest's network; `open` is the checked way."""
        self.manifest = manifest
        self.artefact = artefact
        self.backend = config
        self.opening: Mapping[str, int] = {}
        self._engine = backend
        self._contiguous = np.empty((1, *manifest.frame_hw, 3), dtype=np.uint8)

    @classmethod
    def open(cls, bundle: Path, config: RuntimeConfig | None = None) -> Self:
        """Verify every file of a bundle, load its network, warm it up and repeat the golden frames.

        With `backend.provider` auto, the engine is the fastest of this machine, which takes a race when it is done for
        the first time.

        Args:
            bundle: folder that `python -m export` wrote.
            config: how to serve it; None takes the defaults.

        Raises:
            BundleError: a file is missing or altered, or no artefact can be served; nothing was loaded.
            BackendError: the engine is missing, refuses the network, or gives other labels than at export.
        """
        config = config or RuntimeConfig()
        start_ns = perf_counter_ns()
        manifest = read_manifest(bundle, config.public_key)
        for entry in manifest.files:
            verified_path(bundle, entry)
        backend = config.backend
        golden = read_golden(bundle, manifest)
        verified_ns = perf_counter_ns()
        if isinstance(backend, AutoConfig):
            open_one = partial(cls._open_contender, bundle, manifest, golden)
            segmenter = open_fastest(bundle, manifest, backend, config.artefact, open_one, golden.frames)
        else:
            artefact = choose_artefact(bundle, manifest, config.artefact, backend)
            segmenter = cls._open_contender(bundle, manifest, golden, Contender(backend, artefact))
        choose_ns = perf_counter_ns() - verified_ns - sum(segmenter.opening.values())
        segmenter.opening = {"verify": verified_ns - start_ns, "choose": choose_ns, **segmenter.opening}
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
        check_frame(frame, self.manifest.frame_hw)
        if frame.flags.c_contiguous:
            contiguous = frame[np.newaxis]
        else:
            contiguous = self._contiguous
            np.copyto(contiguous[0], frame)
        copied_ns = perf_counter_ns()
        labels, confidence = self._engine.infer(contiguous)
        return Segmentation(labels[0], confidence[0], copied_ns - start_ns, perf_counter_ns() - copied_ns)

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        self._engine.close()

    def __enter__(self) -> Self:
        """Return the segmenter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the segmenter."""
        self.close()

    @classmethod
    def _open_contender(cls, bundle: Path, manifest: Manifest, golden: GoldenFrames, contender: Contender) -> Self:
        artefact, config = contender.artefact, contender.backend
        layout = LogitsLayout(len(manifest.classes), manifest.align_corners)
        times_ns = [perf_counter_ns()]
        with ExitStack() as on_failure:
            engine = open_backend(
                config,
                bundle / artefact.file,
                manifest.frame_hw,
                logits=layout if artefact.tail == "logits" else None,
                engine_info=artefact.engine,
            )
            on_failure.callback(engine.close)
            segmenter = cls(manifest, engine, artefact=artefact, config=config)
            times_ns.append(perf_counter_ns())
            # Engines plan memory and choose kernels in their first call; only the second one is typical.
            segmenter.segment(golden.frames[0])
            times_ns.append(perf_counter_ns())
            require_golden(bundle, artefact, config, segmenter._golden_agreement(golden))
            times_ns.append(perf_counter_ns())
            on_failure.pop_all()
        stages = zip(("load", "warm_up", "golden"), pairwise(times_ns), strict=True)
        segmenter.opening = {stage: end_ns - begin_ns for stage, (begin_ns, end_ns) in stages}
        return segmenter

    def _golden_agreement(self, golden: GoldenFrames) -> float:
        num_equal = sum(
            int(np.count_nonzero(self.segment(frame).labels == expected))
            for frame, expected in zip(golden.frames, golden.labels, strict=True)
        )
        return num_equal / golden.labels.size
