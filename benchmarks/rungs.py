"""The rungs of the ladder: each artefact of a bundle in each engine of this machine that runs it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, assert_never

import torch

from benchmarks.contenders import NotRun, Segment, Timed
from export.config import Budgets
from export.engines import open_engines
from export.forms import Form
from export.frozen import Frozen
from runtime.backends.config import (
    BackendConfig,
    CpuConfig,
    CudaConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TensorRtEpConfig,
)
from runtime.backends.packages import import_onnxruntime, import_openvino
from runtime.bundle.manifest import Artefact, Manifest
from runtime.bundle.opening import verified_path
from runtime.bundle.serving import agreement_margin, why_not_served
from runtime.errors import BackendError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = [
    "Engines",
    "Promise",
    "Rung",
    "engines_here",
    "open_rung",
    "promise_of",
    "recorded_engine",
    "rungs_of",
]

LIBRARIES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of the runtime that this machine has; `notes` say which it lacks."""

    backends: tuple[BackendConfig, ...]
    notes: tuple[str, ...]


class Promise(NamedTuple):
    """Label agreement with PyTorch: what the manifest has, None where nothing, and the least on other frames."""

    recorded: float | None
    floor: float

    def broken_by(self, agreement: float) -> str | None:
        """Why a label agreement is too small; None where it is not."""
        if agreement >= self.floor:
            return None
        recorded = "" if self.recorded is None else f" (the manifest has {self.recorded:.6f})"
        return f"label agreement {agreement:.6f}, expected at least {self.floor:.6f}{recorded}"


@dataclass(frozen=True, slots=True)
class Rung:
    """An artefact in an engine.

    `family` is shared by rungs whose ratio says something of the artefact and nothing of the engine; `is_baseline`
    marks the one whose float32 the others of its family are compared with. `recorded` is the label agreement that the
    manifest has for it, and `floor` the least it must reach on other frames. `not_run` says why it does not run here.
    """

    artefact: Artefact
    engine: str
    family: str
    recorded: float | None = None
    floor: float = 0.0
    backend: BackendConfig | None = None
    not_run: str | None = None

    @property
    def name(self) -> str:
        """For people: artefact and engine."""
        return f"{self.artefact.file} in {self.engine}"

    @property
    def promise(self) -> Promise:
        """What its labels owe."""
        return Promise(self.recorded, self.floor)

    @property
    def is_baseline(self) -> bool:
        """Whether this is the float32 artefact, computed in float32, labels and all."""
        is_lowered = isinstance(self.backend, OpenVinoConfig) and self.backend.precision != "fp32"
        return self.artefact.precision == "fp32" and self.artefact.tail == "labels" and not is_lowered


def engines_here(threads: int) -> Engines:
    """What the runtime can serve with here, each with so many CPU threads."""
    backends: list[BackendConfig] = [CpuConfig(threads=threads)]
    notes = []
    if find_spec("openvino") is None:
        notes.append("OpenVINO is not installed; `pip install 'iapc[openvino]'` adds its rows.")
    else:
        offered = _openvino_capabilities()
        backends.append(OpenVinoConfig(precision="fp32", threads=threads))
        if "BF16" in offered:
            backends.append(OpenVinoConfig(precision="bf16", threads=threads))
        else:
            notes.append(f"OpenVINO has no bf16 on this CPU, which offers {', '.join(offered)}.")
    if torch.cuda.is_available() and "CUDAExecutionProvider" in _onnxruntime_providers():
        backends.append(CudaConfig())
    return Engines(tuple(backends), tuple(notes))


def rungs_of(manifest: Manifest, engines: Engines) -> list[Rung]:
    """Every artefact with every engine for it; one that none runs has a single rung that says why."""
    return [rung for artefact in manifest.artefacts for rung in _rungs_of(artefact, engines.backends)]


def promise_of(artefact: Artefact, recorded_as: str, backend: BackendConfig | None = None) -> Promise:
    """What an artefact has to do on frames other than the gate's.

    The manifest speaks of the gate's frames and these are others, so half as many pixels again may differ as there.
    Where it does not speak of this engine, it must do as well as the worst of those it names; an artefact that has
    never been run must do what its precision must do at export.

    Args:
        artefact: what is served.
        recorded_as: the engine's name in the manifest.
        backend: the engine; None stands for one that computes in the artefact's own precision.
    """
    agreements = {parity.engine: parity.label_agreement for parity in artefact.parity}
    if not agreements:
        return Promise(None, Budgets().of(artefact.precision).min_label_agreement)
    recorded = agreements.get(recorded_as, min(agreements.values()))
    return Promise(recorded, recorded - max(agreement_margin(artefact, backend), (1.0 - recorded) / 2))


def recorded_engine(artefact: Artefact, backend: BackendConfig) -> str:
    """An engine's name in a manifest."""
    if artefact.engine is not None:
        return artefact.engine.library
    return "openvino" if isinstance(backend, OpenVinoConfig) else "onnxruntime"


def open_rung(rung: Rung, bundle: Path, frozen: Frozen, stack: ExitStack) -> Timed | NotRun:
    """Open an artefact in its engine, until the stack closes.

    Args:
        rung: what to open.
        bundle: folder of its file.
        frozen: what the bundle was made from.
        stack: closes the engine.

    Raises:
        BundleError: a file is missing or altered.
        BackendError: the engine does not take the artefact, or gives other golden labels than at export.
    """
    if rung.not_run is not None:
        return NotRun(rung.not_run)
    start_ns = time.perf_counter_ns()
    segment = (
        _open_exported(rung.artefact, bundle, frozen, stack)
        if rung.backend is None
        else _open_served(rung.artefact, rung.backend, bundle, stack)
    )
    return segment if isinstance(segment, NotRun) else Timed(rung.name, segment, time.perf_counter_ns() - start_ns)


def _rungs_of(artefact: Artefact, backends: Sequence[BackendConfig]) -> Iterator[Rung]:
    if artefact.format == "onnx":
        yield from _onnx_rungs(artefact, backends)
    elif artefact.engine is not None:
        # Made for a GPU that the exporting machine may have lacked and this one may have.
        engine = LIBRARIES[artefact.engine.library]
        yield _rung(artefact, engine, engine, artefact.engine.library)
    elif artefact.not_run is not None:
        yield Rung(artefact, "PyTorch", "PyTorch", not_run=artefact.not_run)
    else:
        yield _rung(artefact, "PyTorch", "PyTorch", "torch")


def _onnx_rungs(artefact: Artefact, backends: Sequence[BackendConfig]) -> Iterator[Rung]:
    reasons = []
    for backend in backends:
        engine, family = _engine_and_family(backend)
        reason = why_not_served(artefact, backend)
        if reason is None:
            yield _rung(artefact, engine, family, recorded_engine(artefact, backend), backend)
        else:
            reasons.append(f"{engine}: {reason}")
    if len(reasons) == len(backends):
        yield Rung(artefact, "ONNX", "ONNX", not_run=artefact.not_run or "; ".join(reasons))


def _engine_and_family(backend: BackendConfig) -> tuple[str, str]:
    match backend:
        case CpuConfig():
            return "ONNX Runtime", "ONNX Runtime"
        case CudaConfig():
            return "ONNX Runtime CUDA", "ONNX Runtime CUDA"
        case TensorRtEpConfig():
            return "ONNX Runtime TensorRT", "ONNX Runtime TensorRT"
        case TensorRtConfig():
            return "TensorRT", "TensorRT"
        case OpenVinoConfig():
            return f"OpenVINO {backend.precision}", "OpenVINO"
        case _:
            assert_never(backend)


def _rung(artefact: Artefact, engine: str, family: str, recorded_as: str, backend: BackendConfig | None = None) -> Rung:
    """A rung that is to be run, with the agreement it must reach."""
    promise = promise_of(artefact, recorded_as, backend)
    return Rung(artefact, engine, family, promise.recorded, promise.floor, backend)


def _open_served(artefact: Artefact, backend: BackendConfig, bundle: Path, stack: ExitStack) -> Segment:
    config = RuntimeConfig(backend=backend, artefact=artefact.file)
    segmenter = stack.enter_context(Segmenter.open(bundle, config))
    return lambda frame: segmenter.segment(frame).labels


def _open_exported(artefact: Artefact, bundle: Path, frozen: Frozen, stack: ExitStack) -> Segment | NotRun:
    """What the runtime does not serve goes through the openers of the export's gate."""
    path = verified_path(bundle, artefact)
    form = Form(artefact.format, artefact.precision, tail=artefact.tail)
    opened = stack.enter_context(open_engines(path, form, frozen, engine=artefact.engine))
    if opened.not_run is not None:
        return NotRun(opened.not_run)
    if not opened.backends:
        raise BackendError("; ".join(opened.refusals))
    (backend,) = opened.backends.values()
    return lambda frame: backend.infer(frame[None])[0][0]


def _onnxruntime_providers() -> list[str]:
    providers: list[str] = import_onnxruntime().get_available_providers()
    return providers


def _openvino_capabilities() -> list[str]:
    capabilities: list[str] = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities
