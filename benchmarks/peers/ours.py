"""What of the bundle stands beside the peers: what the runtime chooses by itself, and float32 in ONNX Runtime."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Timed
from benchmarks.rungs import Promise, promise_of, recorded_engine
from runtime.backends.config import AnyBackendConfig, AutoConfig, BackendConfig, CpuConfig, OpenVinoConfig
from runtime.bundle.manifest import Artefact, Manifest, Precision
from runtime.race.contenders import title_of
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["Ours", "open_ours"]

FP32 = "fp32.onnx"


@dataclass(frozen=True, slots=True)
class Ours:
    """An artefact of the bundle in an engine, opened; `promise` is what its labels owe PyTorch's."""

    timed: Timed
    path: str
    precision: Precision
    promise: Promise


def open_ours(bundle: Path, manifest: Manifest, threads: int | None, folder: Path, stack: ExitStack) -> list[Ours]:
    """The runtime's own choice first, then fp32.onnx where the bundle has it and it was not the choice.

    Args:
        bundle: folder of the artefacts.
        manifest: what it says.
        threads: CPU threads of each engine; None leaves it what it takes by itself.
        folder: where the race is remembered, so that one of another day decides nothing.
        stack: closes the engines.

    Raises:
        BundleError: a file is missing or altered.
        BackendError: no engine serves the bundle.
    """
    chosen = _open(bundle, AutoConfig(threads=threads, cache=folder / "races.json"), None, stack)
    if not any(artefact.file == FP32 for artefact in manifest.artefacts):
        return [chosen]
    plain = _open(bundle, CpuConfig(threads=threads), FP32, stack)
    return [chosen] if plain.timed.name == chosen.timed.name else [chosen, plain]


def _open(bundle: Path, backend: AnyBackendConfig, artefact: str | None, stack: ExitStack) -> Ours:
    start_ns = time.perf_counter_ns()
    segmenter = stack.enter_context(Segmenter.open(bundle, RuntimeConfig(backend=backend, artefact=artefact)))
    load_ns = time.perf_counter_ns() - start_ns - (segmenter.opening["choose"] if backend.provider == "auto" else 0)
    assert segmenter.artefact is not None
    assert segmenter.backend is not None
    how = "the runtime's own choice (backend.provider: auto)" if backend.provider == "auto" else "as asked for"
    return Ours(
        Timed(
            f"{segmenter.artefact.file} in {title_of(segmenter.backend)}",
            lambda frame: segmenter.segment(frame).labels,
            load_ns,
        ),
        f"Segmenter.open(bundle).segment(frame), {how}; labels and confidence",
        _precision(segmenter.artefact, segmenter.backend),
        promise_of(segmenter.artefact, recorded_engine(segmenter.artefact, segmenter.backend), segmenter.backend),
    )


def _precision(artefact: Artefact, backend: BackendConfig) -> Precision:
    """What convolutions compute in: OpenVINO may be told to compute a float32 artefact in bf16."""
    is_lowered = isinstance(backend, OpenVinoConfig) and backend.precision == "bf16" and artefact.precision == "fp32"
    return "bf16" if is_lowered else artefact.precision
