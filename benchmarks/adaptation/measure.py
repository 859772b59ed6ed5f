"""`adapt`: images/s, memory and parts of one adaptation step, against the same step written plainly, in one run.

Contenders take turns step by step, each in its own process with the same number of threads and the same views.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from benchmarks.adaptation.contenders import PARTS, Contender, Stepped
from benchmarks.adaptation.document import AdaptationDocument, LoadingRate, MeasuredStep
from benchmarks.adaptation.loading import Loading, measure_loading
from benchmarks.environment import Environment, describe_environment
from runtime.command import progress, say
from runtime.errors import GateError
from runtime.files import writable_folder, write_json

__all__ = ["DOCUMENT_NAME", "measure_adaptation", "require_same_losses"]

DOCUMENT_NAME = "adaptation.json"
MAX_LOSS_DIFFERENCE_FP32 = 0.005


def measure_adaptation(config: AdaptationBenchmarkConfig, output: Path) -> dict[str, Any]:
    """Measure the plain step in float32 and ours in float32 and bfloat16, and the data loader.

    Returns:
        Key figures: `speedup_vs_plain` and `memory_vs_plain` by precision, `images_per_s`, `document`.

    Raises:
        GateError: our float32 losses differ from the plain step's by more than half a percent.
    """
    path = writable_folder(output) / DOCUMENT_NAME
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    with ExitStack() as stack:
        contenders = [
            Contender("plain", "fp32", config, threads),
            Contender("iapc", "fp32", config, threads),
            Contender("iapc", "bf16", config, threads),
        ]
        for contender in contenders:
            stack.callback(contender.close)
        steps = _take_turns(contenders, config)
        measured = _describe(contenders, steps, config)
    require_same_losses(measured[1])
    loading = measure_loading(config) if config.num_loaded else []
    document = _document(measured, loading, environment, config)
    write_json(path, document.model_dump(mode="json"))
    say(_table(document))
    return {
        "speedup_vs_plain": document.speedup_vs_plain,
        "memory_vs_plain": document.memory_vs_plain,
        "images_per_s": {f"{found.name} {found.precision}": round(found.images_per_s, 3) for found in measured},
        "document": str(path),
    }


def _take_turns(contenders: Sequence[Contender], config: AdaptationBenchmarkConfig) -> list[list[Stepped]]:
    """Steps of each contender; the first `warmup` of each are among them."""
    steps: list[list[Stepped]] = [[] for _ in contenders]
    for index in progress(range(config.warmup + config.num_steps), title="adaptation step", unit="turn"):
        for contender, taken in zip(contenders, steps, strict=True):
            taken.append(contender.step(index))
    return steps


def _describe(
    contenders: Sequence[Contender], steps: Sequence[Sequence[Stepped]], config: AdaptationBenchmarkConfig
) -> list[MeasuredStep]:
    found = []
    for contender, taken in zip(contenders, steps, strict=True):
        seconds = tuple(step.seconds for step in taken[config.warmup :])
        # Read before the profiler adds its own memory.
        peak_bytes = contender.peak_bytes()
        found.append(
            MeasuredStep(
                name=contender.name,
                precision=contender.precision,
                seconds=seconds,
                images_per_s=config.batch_size / statistics.median(seconds),
                peak_bytes=peak_bytes,
                resident_before_bytes=contender.resident_before_bytes,
                parts_s=contender.parts(len(taken)),
                loss_difference=_loss_difference(taken[0].terms, steps[0][0].terms),
            )
        )
    return found


def _loss_difference(terms: Mapping[str, float], expected: Mapping[str, float]) -> float:
    return max(abs(terms[name] - value) / max(abs(value), 1e-6) for name, value in expected.items())


def require_same_losses(found: MeasuredStep) -> None:
    """Refuse a step that is faster because it learns something else.

    Raises:
        GateError: a loss term differs by more than `MAX_LOSS_DIFFERENCE_FP32`.
    """
    if found.loss_difference > MAX_LOSS_DIFFERENCE_FP32:
        raise GateError(
            f"{found.name} {found.precision} has other losses than the plain step: a term differs by "
            f"{found.loss_difference:.2%}, at most {MAX_LOSS_DIFFERENCE_FP32:.1%} is explained by the importance's "
            "eight bits; a faster step that learns something else has no score"
        )


def _document(
    measured: Sequence[MeasuredStep],
    loading: Sequence[Loading],
    environment: Environment,
    config: AdaptationBenchmarkConfig,
) -> AdaptationDocument:
    plain, *ours = measured
    return AdaptationDocument(
        created_unix_s=int(time.time()),
        contenders=tuple(measured),
        speedup_vs_plain={found.precision: round(found.images_per_s / plain.images_per_s, 3) for found in ours},
        memory_vs_plain={found.precision: round(found.peak_bytes / plain.peak_bytes, 3) for found in ours},
        loading=tuple(LoadingRate(workers=rate.workers, images_per_s=rate.images_per_s) for rate in loading),
        environment=environment,
        config=config.model_dump(mode="json"),
    )


def _table(document: AdaptationDocument) -> str:
    names = [f"{found.name} {found.precision}" for found in document.contenders]
    lines = [f"{'one step':24}" + "".join(f"{name:>12}" for name in names)]
    for part in PARTS:
        values = [found.parts_s.get(part) for found in document.contenders]
        lines.append(f"{part + ', s':24}" + "".join(f"{'-' if v is None else format(v, '.3f'):>12}" for v in values))
    rows = {
        "median step, s": [format(statistics.median(found.seconds), ".3f") for found in document.contenders],
        "images/s": [format(found.images_per_s, ".3f") for found in document.contenders],
        "peak memory, GiB": [format(found.peak_bytes / 2**30, ".2f") for found in document.contenders],
        "losses differ by": [format(found.loss_difference, ".3%") for found in document.contenders],
    }
    lines += [f"{title:24}" + "".join(f"{value:>12}" for value in values) for title, values in rows.items()]
    for precision, speedup in document.speedup_vs_plain.items():
        memory = document.memory_vs_plain[precision]
        lines.append(f"{precision}: {speedup:.2f}x the images/s of the plain step at {memory:.2f}x its peak memory")
    for rate in document.loading:
        lines.append(f"data loading alone, {rate.workers} processes: {rate.images_per_s:.1f} crops/s")
    return "\n".join(lines)
