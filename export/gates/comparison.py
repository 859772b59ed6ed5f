"""An artefact against PyTorch in float32 on the CPU: the same target frames, every figure the gate judges by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from export.engines import Opened, TorchBackend, inner_tensors
from export.forms import Form
from export.frozen import Frozen
from export.gates.preprocessing import graph_problem
from export.gates.tally import Confusion, FrameDifference, LabelledTally, Tally, is_finite
from export.onnx_graph import with_output
from runtime.bundle.manifest import Parity
from runtime.command import progress, say
from runtime.errors import BackendError, GateError

__all__ = ["Compared", "GateFrames", "LabelledGateFrames", "Reference", "compare", "run_reference"]

INNER_FRAMES = 3
"""Frames on which logits and network input are compared; labels and confidence are compared on all."""

Maps = NDArray[np.uint8]


class GateFrames(Protocol):
    """Target frames that can be read again and again, each (1, H, W, 3) uint8 RGB."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __iter__(self) -> Iterator[Maps]:
        """Read them one by one."""
        ...


class LabelledGateFrames(Protocol):
    """The same with their truth, (H, W) uint8 train ids."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __iter__(self) -> Iterator[tuple[Maps, Maps]]:
        """Read frame and truth one by one."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """What PyTorch said, once for all artefacts.

    `labels` and `confidence` hold a map (H, W) a frame; `inner` a few frames (1, H, W, 3) with their logits
    (1, C, h, w); `golden` are the indices of the golden frames (N, H, W, 3). `truth` counts PyTorch's labels on the
    frames of `test`.
    """

    frozen: Frozen
    frames: GateFrames
    labels: tuple[Maps, ...]
    confidence: tuple[Maps, ...]
    inner: tuple[tuple[Maps, NDArray[np.float32]], ...]
    golden: tuple[int, ...]
    golden_frames: Maps
    test: LabelledGateFrames | None
    truth: LabelledTally | None

    @property
    def golden_labels(self) -> Maps:
        """PyTorch's labels on the golden frames, (N, H, W)."""
        return np.stack([self.labels[index] for index in self.golden])

    @property
    def miou(self) -> float | None:
        """PyTorch's mIoU in percent; None where there is no truth."""
        return None if self.truth is None else self.truth.miou


@dataclass(frozen=True, slots=True)
class Compared:
    """How an artefact did.

    `parities` has an entry for each engine; `problems` are sentences on what no budget excuses: an output that is not
    finite, constant or frozen, another preprocessing, an engine that fails. `not_run` says why there is no parity.
    The rest is of the engine that agrees least: agreement on the golden frames, the frames that differ most, and the
    classes confused most.
    """

    parities: tuple[Parity, ...]
    problems: tuple[str, ...] = ()
    not_run: str | None = None
    golden_agreement: float | None = None
    differences: tuple[FrameDifference, ...] = ()
    confusions: tuple[Confusion, ...] = ()


def run_reference(
    frozen: Frozen, frames: GateFrames, test: LabelledGateFrames | None = None, *, num_golden_frames: int
) -> Reference:
    """Run PyTorch in float32 on the CPU on all frames.

    Args:
        frozen: the network.
        frames: held-out target frames.
        test: labelled ones, where there are any.
        num_golden_frames: how many of `frames` the bundle keeps, spread evenly; all where there are fewer.

    Raises:
        DataError: a frame cannot be read, or has another size.
        GateError: the network's output is not finite.
    """
    space = frozen.spec.label_space
    backend = TorchBackend(frozen.network)
    golden, looked_into = (_spread(len(frames), number) for number in (num_golden_frames, INNER_FRAMES))
    labels, confidences, inner, golden_frames = [], [], [], []
    bar = progress(frames, title="PyTorch on the gate's frames", unit="frame", total=len(frames))
    for index, frame in enumerate(bar):
        found, confidence = backend.infer(frame)
        if not is_finite(confidence, space.num_classes):
            raise GateError(
                "the PyTorch network's output is not finite on a target frame; no bundle was written; its weights or "
                "batch-norm statistics are damaged or far too large: adapt again, or give another checkpoint"
            )
        labels.append(found[0])
        confidences.append(confidence[0])
        if index in looked_into:
            inner.append((frame, _torch_logits(frozen, frame)))
        if index in golden:
            golden_frames.append(frame[0])
    classes = np.unique(np.concatenate([np.unique(found) for found in labels]))
    if len(classes) == 1:
        only = space.names[classes[0]]
        say(f"warning: the network itself calls every pixel of every frame {only!r}; is this the right checkpoint?")
    truth = None
    if test is not None:
        truth = LabelledTally(space.num_classes)
        for frame, true in progress(test, title="PyTorch on labelled frames", unit="frame", total=len(test)):
            truth.add(true, backend.infer(frame)[0][0])
    return Reference(
        frozen, frames, tuple(labels), tuple(confidences), tuple(inner), golden, np.stack(golden_frames), test, truth
    )


def compare(reference: Reference, opened: Opened, *, path: Path, form: Form) -> Compared:
    """Run an artefact in its engines on the frames that PyTorch ran on.

    Args:
        reference: PyTorch's answers.
        opened: the artefact in its engines.
        path: its file; of ONNX, the logits and the network's input are compared too.
        form: what it is.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    engines = _Engines(opened)
    inner = _compare_inner(reference, path, form) if form.format == "onnx" and opened.backends else _Inner()
    tallies = _tally(reference, engines, f"{path.name} on the gate's frames")
    truths = _tally_labelled(reference, engines, f"{path.name} on labelled frames")
    names = reference.frozen.spec.label_space.names
    problems = [*opened.refusals, *inner.problems, *engines.failures]
    parities, whole = [], {engine: tallies[engine] for engine in engines.running}
    for place, (engine, tally) in enumerate(whole.items()):
        problems += [f"{engine}: {problem}" for problem in tally.problems(names)]
        # Measured once, in the first engine's own graph; the others' rounding shows in their labels.
        logits_error = inner.logits_error if place == 0 else None
        pair = None if reference.truth is None else (reference.truth, truths[engine])
        parities.append(tally.parity(engine, names, logits_error=logits_error, truths=pair))
    if not whole:
        return Compared((), tuple(problems), opened.not_run or "every engine of this machine failed on it")
    worst = min(whole.values(), key=lambda tally: tally.agreement)
    num_pixels = reference.labels[0].size
    golden = min(tally.agreement_on(reference.golden, num_pixels) for tally in whole.values())
    return Compared(tuple(parities), tuple(problems), None, golden, worst.differences, worst.confusions())


@dataclass(frozen=True, slots=True)
class _Inner:
    """What the tensors inside an ONNX graph say."""

    logits_error: float | None = None
    problems: tuple[str, ...] = ()


class _Engines:
    """The engines of an artefact; one that fails on a frame is not asked again."""

    def __init__(self, opened: Opened) -> None:
        self.running = dict(opened.backends)
        self.failures: list[str] = []

    def infer(self, frame: Maps) -> Iterator[tuple[str, tuple[Maps, Maps]]]:
        """Labels and confidence (H, W) of each engine in turn; valid until the next frame."""
        for engine, backend in list(self.running.items()):
            try:
                labels, confidence = backend.infer(frame)
                _require_maps(frame, labels, confidence)
            except BackendError as error:
                self.failures.append(f"{engine} fails on a frame: {error}")
                del self.running[engine]
            else:
                yield engine, (labels[0], confidence[0])


def _require_maps(frame: Maps, *maps: Maps) -> None:
    if any(found.shape != frame.shape[:3] or found.dtype != np.uint8 for found in maps):
        given = " and ".join(f"{found.dtype} {found.shape}" for found in maps)
        raise BackendError(f"it gives {given}, expected labels and confidence, both uint8 {frame.shape[:3]}")


def _tally(reference: Reference, engines: _Engines, title: str) -> Mapping[str, Tally]:
    tallies = {engine: Tally(reference.frozen.spec.label_space.num_classes) for engine in engines.running}
    if not tallies:
        return {}
    bar = progress(reference.frames, title=title, unit="frame", total=len(reference.frames))
    for frame, *expected in zip(bar, reference.labels, reference.confidence, strict=True):
        for engine, got in engines.infer(frame):
            tallies[engine].add(frame[0], (expected[0], expected[1]), got)
    return tallies


def _tally_labelled(reference: Reference, engines: _Engines, title: str) -> Mapping[str, LabelledTally]:
    tallies = {engine: LabelledTally(reference.frozen.spec.label_space.num_classes) for engine in engines.running}
    if reference.test is None or not tallies:
        return {}
    for frame, truth in progress(reference.test, title=title, unit="frame", total=len(reference.test)):
        for engine, (labels, _) in engines.infer(frame):
            tallies[engine].add(truth, labels)
    return tallies


def _compare_inner(reference: Reference, path: Path, form: Form) -> _Inner:
    """Logits and network input of an ONNX graph against PyTorch's, on a few frames."""
    try:
        run = inner_tensors(with_output(with_output(path.read_bytes(), "logits"), "image"))
    except BackendError as error:
        return _Inner(problems=(str(error),))
    expected = np.concatenate([logits for _, logits in reference.inner])
    tensors = [run(frame) for frame, _ in reference.inner]
    inputs = [
        graph_problem(frame, found["image"], reference.frozen.spec, form.precision)
        for (frame, _), found in zip(reference.inner, tensors, strict=True)
    ]
    # One frame's figures tell as much as those of all.
    problems = [problem for problem in inputs if problem is not None][:1]
    got = np.concatenate([found["logits"] for found in tensors])
    if got.shape != expected.shape:
        return _Inner(None, (*problems, f"its logits are {got.shape[1:]}, PyTorch's {expected.shape[1:]}"))
    if not np.isfinite(got).all():
        return _Inner(None, (*problems, "its logits are not finite on a target frame, where PyTorch's are"))
    return _Inner(_relative_error(got, expected), tuple(problems))


def _relative_error(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Root mean square difference relative to the deviation of what was expected."""
    difference = got.astype(np.float64) - expected
    deviation = max(float(expected.std(dtype=np.float64)), np.finfo(np.float32).tiny)
    return float(np.sqrt(np.mean(difference**2)) / deviation)


def _torch_logits(frozen: Frozen, frame: Maps) -> NDArray[np.float32]:
    graph = frozen.network
    with torch.inference_mode():
        image = graph.input(torch.from_numpy(frame), graph.network_hw)
        logits: NDArray[np.float32] = graph.network.logits(image).float().numpy()
    return logits


def _spread(length: int, number: int) -> tuple[int, ...]:
    """Indices spread evenly, first and last among them; all where there are fewer."""
    return tuple(int(index) for index in np.linspace(0, length - 1, num=min(number, length), dtype=int))
