"""`ladder`: every artefact of a bundle in every engine of this machine: size, labels, mIoU and latency, in one run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import (
    PYTORCH,
    SCENARIO,
    NotRun,
    load_frozen,
    open_pytorch,
    read_frames,
    require_same_network,
    warm_up,
)
from benchmarks.document import LadderDocument, LadderRow
from benchmarks.environment import describe_environment
from benchmarks.ladder_page import ladder_page, ladder_text
from benchmarks.rungs import Rung, engines_here, open_rung, rungs_of
from benchmarks.samples import percentiles_ms
from benchmarks.turns import Contender, count_truth, open_test, run_rounds
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.command import progress, say
from runtime.errors import BackendError, GateError
from runtime.files import writable_folder, write_json, write_text

__all__ = ["DOCUMENT_NAME", "PAGE_NAME", "measure_ladder"]

DOCUMENT_NAME, PAGE_NAME = "ladder.json", "ladder.md"
ONNXRUNTIME = "ONNX Runtime"


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why an engine that ought to run an artefact does not."""

    reason: str


# How a rung fared when it was opened.
_Opened = Contender | NotRun | _Refused


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
    test = open_test(config)
    folder = writable_folder(config.output)
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    engines = engines_here(threads)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        reference = Contender(open_pytorch(config, manifest))
        rungs = _open_rungs(config, manifest, rungs_of(manifest, engines), stack)
        contenders = [reference, *(opened for _, opened in rungs if isinstance(opened, Contender))]
        count_truth(test, manifest, contenders)
        warm_up([contender.timed for contender in contenders], frames, config.warmup)
        num_compared = run_rounds(contenders, frames, config.num_rounds)
    document = LadderDocument(
        **how_measured(config, environment),
        scenario=SCENARIO,
        classes=tuple(one.name for one in manifest.classes),
        rows=tuple(_rows(config, reference, rungs)),
        notes=engines.notes,
        num_rounds=config.num_rounds,
        num_compared=num_compared,
        num_test_frames=0 if test is None else len(test.indices),
        checkpoint_sha256=checkpoint_sha256,
        frames=names,
    )
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, ladder_page(document, config.bundle, DOCUMENT_NAME))
    say(ladder_text(document))
    figures = _key_figures(document, folder)
    _refuse_other_labels(config.bundle, document, figures)
    return figures


def _open_rungs(
    config: BenchmarksConfig, manifest: Manifest, rungs: Sequence[Rung], stack: ExitStack
) -> list[tuple[Rung, _Opened]]:
    frozen = load_frozen(config, manifest)

    def open_one(rung: Rung) -> _Opened:
        try:
            timed = open_rung(rung, config.bundle, frozen, stack)
        except BackendError as error:
            return _Refused(str(error))
        return timed if isinstance(timed, NotRun) else Contender(timed)

    return [(rung, open_one(rung)) for rung in progress(rungs, title="load", unit="artefact")]


def _rows(config: BenchmarksConfig, reference: Contender, rungs: Sequence[tuple[Rung, _Opened]]) -> Iterator[LadderRow]:
    """PyTorch first, then the artefacts in the manifest's order."""
    scored = {
        rung.name: opened for rung, opened in rungs if isinstance(opened, Contender) and opened.agreement >= rung.floor
    }
    baselines = {rung.family: scored[rung.name] for rung, _ in rungs if rung.is_baseline and rung.name in scored}
    # TorchScript and pt2 are compared with the network they were made from.
    baselines["PyTorch"] = reference
    onnxruntime = baselines.get(ONNXRUNTIME)
    yield LadderRow(
        artefact=None,
        engine=PYTORCH,
        precision="fp32",
        num_bytes=config.checkpoint.stat().st_size,
        class_pixels=tuple(reference.truth.frames),
        **reference.miou_figures(reference),
        **_latency(reference, None, onnxruntime),
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
            refusal = rung.promise.broken_by(opened.agreement)
            update = {"label_agreement": opened.agreement, "refusal": refusal}
            yield row.model_copy(update=update)
        else:
            figures = _latency(opened, baselines.get(rung.family), onnxruntime)
            measured = {"label_agreement": opened.agreement, "class_pixels": tuple(opened.truth.frames)}
            yield row.model_copy(update={**measured, **opened.miou_figures(reference), **figures})


def _latency(contender: Contender, baseline: Contender | None, onnxruntime: Contender | None) -> dict[str, Any]:
    percentiles = percentiles_ms(np.array(contender.timed.samples_ns))
    return {
        "median_ms": percentiles["p50"],
        "p90_ms": percentiles["p90"],
        "faster_than_fp32": contender.ratio_to(baseline),
        "faster_than_onnxruntime": contender.ratio_to(onnxruntime),
        "samples_ns": tuple(contender.timed.samples_ns),
    }


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
