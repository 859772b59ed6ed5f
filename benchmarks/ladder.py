"""`ladder`: every artefact of a bundle in every engine of this machine: size, labels, mIoU and latency, in one run.

One round shows one frame to every contender, in an order drawn anew, so that whatever slows the machine for a while
hits all of them; no sample is dropped.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import (
    PYTORCH,
    SCENARIO,
    SEED,
    Frame,
    Timed,
    open_pytorch,
    read_frames,
    require_same_network,
    warm_up,
)
from benchmarks.document import LadderDocument, LadderRow, Ratio
from benchmarks.environment import describe_environment
from benchmarks.ladder_page import ladder_page, ladder_text
from benchmarks.rungs import NotRun, Rung, engines_here, open_rung, rungs_of
from benchmarks.samples import percentiles_ms, speedup, speedup_interval
from export.frozen import Frozen
from runtime.bundle.manifest import MANIFEST_NAME, Manifest
from runtime.bundle.opening import read_manifest
from runtime.command import progress, say
from runtime.errors import BackendError, GateError
from runtime.files import sha256_of, writable_folder, write_json, write_text
from runtime.frames import check_frame
from runtime.metrics import ConfusionMatrix
from training.checkpoint import load_network
from training.data.frames import LabelledFrames
from training.data.open import open_labelled_frames

__all__ = ["DOCUMENT_NAME", "PAGE_NAME", "measure_ladder"]

DOCUMENT_NAME, PAGE_NAME = "ladder.json", "ladder.md"
ONNXRUNTIME = "ONNX Runtime"


@dataclass(slots=True)
class _Contender:
    """What runs, and its labels so far: against PyTorch's, and against the truth."""

    timed: Timed
    truth: ConfusionMatrix
    num_equal: int = 0
    num_pixels: int = 0

    @property
    def agreement(self) -> float:
        """Share of pixels with PyTorch's label."""
        return self.num_equal / self.num_pixels


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why an engine that ought to run an artefact does not."""

    reason: str


# How a rung fared when it was opened.
_Opened = _Contender | NotRun | _Refused


@dataclass(frozen=True, slots=True)
class _Test:
    """Labelled frames of the bundle's size."""

    frames: LabelledFrames
    indices: tuple[int, ...]


def measure_ladder(config: BenchmarksConfig) -> dict[str, Any]:
    """Measure every artefact of the bundle that an engine of this machine runs; write `ladder.json` and `ladder.md`.

    Returns:
        Key figures: `rows`, by artefact and engine, `document`, `page`.

    Raises:
        ConfigError: the bundle was not made from the checkpoint, or `test` has no labels.
        DataError: a frame or label map cannot be read.
        FrameError: a frame is not of the bundle's size.
        GateError: a contender gives other labels than the manifest says, or its engine refuses it; it has no score,
            and the others' are written all the same.
    """
    manifest = read_manifest(config.bundle)
    checkpoint_sha256 = require_same_network(config, manifest)
    names, frames = read_frames(config.frames, manifest)
    test = _open_test(config)
    folder = writable_folder(config.output)
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    engines = engines_here(threads)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        num_classes = len(manifest.classes)
        reference = _Contender(open_pytorch(config, manifest), ConfusionMatrix(num_classes))
        rungs = _open_rungs(config, manifest, rungs_of(manifest, engines), stack)
        contenders = [reference, *(opened for _, opened in rungs if isinstance(opened, _Contender))]
        _count_truth(test, manifest, contenders)
        warm_up([contender.timed for contender in contenders], frames, config.warmup)
        num_compared = _run_rounds(contenders, frames, config.num_rounds)
    document = LadderDocument(
        created_unix_s=int(time.time()),
        scenario=SCENARIO,
        rows=tuple(_rows(config, reference, rungs)),
        notes=engines.notes,
        num_rounds=config.num_rounds,
        num_compared=num_compared,
        num_test_frames=0 if test is None else len(test.indices),
        manifest_sha256=sha256_of(config.bundle / MANIFEST_NAME),
        checkpoint_sha256=checkpoint_sha256,
        frames=names,
        environment=environment,
        config=config.model_dump(mode="json"),
    )
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, ladder_page(document, config.bundle, DOCUMENT_NAME))
    say(ladder_text(document))
    figures = _key_figures(document, folder)
    _refuse_other_labels(config.bundle, document, figures)
    return figures


def _open_test(config: BenchmarksConfig) -> _Test | None:
    if config.test is None:
        return None
    _, spec = load_network(config.checkpoint, factory=config.factory)
    frames = open_labelled_frames(config.test, spec.space)
    num_frames = min(config.num_test_frames, len(frames))
    if num_frames < config.num_test_frames:
        say(f"only {num_frames} of benchmarks.num_test_frames={config.num_test_frames} frames exist; all are taken")
    return _Test(frames, tuple(np.linspace(0, len(frames) - 1, num=num_frames, dtype=int).tolist()))


def _open_rungs(
    config: BenchmarksConfig, manifest: Manifest, rungs: Sequence[Rung], stack: ExitStack
) -> list[tuple[Rung, _Opened]]:
    network, spec = load_network(config.checkpoint, factory=config.factory)
    frozen = Frozen(spec.frame_network(network, manifest.frame_hw), spec)

    def open_one(rung: Rung) -> _Opened:
        try:
            timed = open_rung(rung, config.bundle, frozen, stack)
        except BackendError as error:
            return _Refused(str(error))
        return timed if isinstance(timed, NotRun) else _Contender(timed, ConfusionMatrix(len(manifest.classes)))

    return [(rung, open_one(rung)) for rung in progress(rungs, title="load", unit="artefact")]


def _count_truth(test: _Test | None, manifest: Manifest, contenders: Sequence[_Contender]) -> None:
    """Count each contender's labels by the true class, on the labelled frames where there are any."""
    if test is None:
        return
    for index in progress(test.indices, title="mIoU", unit="frame"):
        frame, truth = test.frames.image(index), test.frames.label(index)
        check_frame(frame, manifest.frame_hw, test.frames.name(index))
        for contender in contenders:
            contender.truth.update(truth, contender.timed.segment(frame))


def _run_rounds(contenders: Sequence[_Contender], frames: Sequence[Frame], num_rounds: int) -> int:
    """Time all rounds, the first contender being the reference; return on how many frames labels were compared."""
    rng = np.random.default_rng(SEED)
    for number in progress(range(num_rounds), title="latency", unit="round"):
        frame = frames[number % len(frames)]
        labels = {}
        for position in rng.permutation(len(contenders)).tolist():
            found, taken_ns = contenders[position].timed.query(frame)
            contenders[position].timed.samples_ns.append(taken_ns)
            labels[position] = found.copy()
        if number < len(frames):
            for position, contender in enumerate(contenders):
                contender.num_equal += int(np.count_nonzero(labels[position] == labels[0]))
                contender.num_pixels += labels[0].size
    return min(num_rounds, len(frames))


def _rows(
    config: BenchmarksConfig, reference: _Contender, rungs: Sequence[tuple[Rung, _Opened]]
) -> Iterator[LadderRow]:
    """PyTorch first, then the artefacts in the manifest's order."""
    scored = {
        rung.name: np.array(opened.timed.samples_ns)
        for rung, opened in rungs
        if isinstance(opened, _Contender) and opened.agreement >= rung.floor
    }
    baselines = {rung.family: scored[rung.name] for rung, _ in rungs if rung.is_baseline and rung.name in scored}
    # TorchScript and pt2 are compared with the network they were made from.
    baselines["PyTorch"] = np.array(reference.timed.samples_ns)
    onnxruntime = baselines.get(ONNXRUNTIME)
    yield LadderRow(
        artefact=None,
        engine=PYTORCH,
        precision="fp32",
        num_bytes=config.checkpoint.stat().st_size,
        miou=_miou(reference),
        **_latency(baselines["PyTorch"], None, onnxruntime),
    )
    for rung, opened in rungs:
        row = LadderRow(
            artefact=rung.artefact.file,
            engine=rung.engine,
            precision=rung.artefact.precision,
            num_bytes=rung.artefact.num_bytes,
            recorded_agreement=rung.recorded,
        )
        if isinstance(opened, NotRun):
            yield row.model_copy(update={"not_run": opened.reason})
        elif isinstance(opened, _Refused):
            yield row.model_copy(update={"refusal": opened.reason})
        elif rung.name not in scored:
            update = {"label_agreement": opened.agreement, "refusal": _refusal(rung, opened.agreement)}
            yield row.model_copy(update=update)
        else:
            figures = _latency(scored[rung.name], baselines.get(rung.family), onnxruntime)
            miou, before = _miou(opened), _miou(reference)
            change = None if miou is None or before is None else miou - before
            measured = {"label_agreement": opened.agreement, "miou": miou, "miou_change": change}
            yield row.model_copy(update={**measured, **figures})


def _refusal(rung: Rung, agreement: float) -> str:
    recorded = "nothing" if rung.recorded is None else f"{rung.recorded:.6f}"
    return f"label agreement {agreement:.6f}, expected at least {rung.floor:.6f} (the manifest has {recorded})"


def _latency(
    samples_ns: NDArray[np.int64], baseline: NDArray[np.int64] | None, onnxruntime: NDArray[np.int64] | None
) -> dict[str, Any]:
    percentiles = percentiles_ms(samples_ns)
    return {
        "median_ms": percentiles["p50"],
        "p90_ms": percentiles["p90"],
        "faster_than_fp32": _ratio(samples_ns, baseline),
        "faster_than_onnxruntime": _ratio(samples_ns, onnxruntime),
        "samples_ns": tuple(samples_ns.tolist()),
    }


def _ratio(samples_ns: NDArray[np.int64], peer_ns: NDArray[np.int64] | None) -> Ratio | None:
    if peer_ns is None:
        return None
    low, high = speedup_interval(samples_ns, peer_ns)
    return Ratio(value=speedup(samples_ns, peer_ns), low=low, high=high)


def _miou(contender: _Contender) -> float | None:
    """Mean IoU in percent over the classes that the truth has; None where no frame was counted.

    Over all that are predicted, a single stray pixel of another class would put a zero into the mean of one contender
    and not into another's.
    """
    present = np.flatnonzero(contender.truth.counts.sum(axis=1)).tolist()
    return contender.truth.miou(present) if present else None


def _key_figures(document: LadderDocument, folder: Path) -> dict[str, Any]:
    rows = {
        f"{row.artefact or 'checkpoint'} in {row.engine}": {
            name: None if value is None else round(value, digits)
            for name, value, digits in (
                ("label_agreement", row.label_agreement, 6),
                ("miou", row.miou, 3),
                ("miou_change", row.miou_change, 3),
                ("median_ms", row.median_ms, 3),
            )
        }
        for row in document.rows
        if row.median_ms is not None
    }
    return {"rows": rows, "document": str(folder / DOCUMENT_NAME), "page": str(folder / PAGE_NAME)}


def _refuse_other_labels(bundle: Path, document: LadderDocument, figures: Mapping[str, Any]) -> None:
    refused = [f"{row.artefact} in {row.engine}" for row in document.rows if row.refusal is not None]
    if refused:
        raise GateError(
            f"no score for {', '.join(refused)} of bundle {bundle}: other labels than its manifest says, or an engine "
            f"that refuses the file, for the reasons in {figures['page']}; use another engine version, or export the "
            "bundle again",
            figures=figures,
        )
