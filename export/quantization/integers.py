"""From a float32 graph to its INT8 form: post-training first, and by training where that falls short."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from export.config import ExportConfig
from export.frame_sets import FrameSets
from export.frozen import Frozen
from export.onnx_from_torch import onnx_from_torch
from export.quantization.aware import learn_integers
from export.quantization.choose import Calibration, Int8Choice, choose_int8
from runtime.bundle.manifest import Scheme
from runtime.command import say
from runtime.errors import ConfigError
from training.config import TrainingConfig

__all__ = ["choose_integers"]


@dataclass(frozen=True, slots=True)
class _Job:
    """Everything an INT8 form is made from."""

    model: Path
    path: Path
    scheme: Scheme
    frozen: Frozen
    facts: Mapping[str, str]
    sets: FrameSets
    config: ExportConfig
    calibration: Calibration


def choose_integers(
    model: Path,
    path: Path,
    *,
    scheme: Scheme,
    frozen: Frozen,
    facts: Mapping[str, str],
    sets: FrameSets,
    config: ExportConfig,
    training: TrainingConfig | None,
    calibration: Calibration,
) -> Int8Choice:
    """Write the INT8 form of a float32 graph.

    Args:
        model: the float32 ONNX artefact.
        path: where the INT8 file goes.
        scheme: whose integers.
        frozen: the network it was made from.
        facts: written into the metadata of a graph that is made anew.
        sets: frames; those of the gate are not touched.
        config: budgets and how to choose; `int8.aware` says when the network learns.
        training: the run it then learns by.
        calibration: of `model`.

    Raises:
        ConfigError: learning is wanted and there is no `training`.
        BackendError: the graph cannot be quantized.
        TrainingError: a loss or gradient is not finite.
    """
    job = _Job(model, path, scheme, frozen, facts, sets, config, calibration)
    choice = _choose(job, model, path)
    when = config.int8.aware.when
    if when == "never" or (when == "short" and choice.is_within):
        if not choice.is_within:
            say(f"{path.name} misses its budget on the frames of choice; int8.aware.when=short would train for it")
        return choice
    if training is None:
        raise ConfigError(f"export.int8.aware.when={when} needs the section training of the run file; it has none")
    return _learn(job, choice, training)


def _choose(job: _Job, model: Path, path: Path, like: Int8Choice | None = None) -> Int8Choice:
    """Choose freely, or, with trained ranges, `like` what was trained for."""
    space = job.frozen.spec.label_space
    int8, ranges = job.config.int8, None
    if like is not None:
        kept = {"float_layers": like.quantization.float_layers, "range_method": like.quantization.range_method}
        int8, ranges = int8.model_copy(update=kept), like.ranges
    return choose_int8(
        model,
        path,
        scheme=job.scheme,
        sets=job.sets,
        config=int8,
        budget=job.config.budgets.int8,
        num_classes=space.num_classes,
        class_names=space.names,
        ranges=ranges,
        calibration=job.calibration if like is None else None,
        reference=job.model,
        with_report=like is None and int8.layer_report,
    )


def _learn(job: _Job, before: Int8Choice, training: TrainingConfig) -> Int8Choice:
    """Train for the integers of a choice; what is written is better than before, by budget and by agreement."""
    learnt = learn_integers(
        job.config,
        training,
        model=job.model,
        ranges=before.ranges,
        scheme=job.scheme,
        float_layers=before.quantization.float_layers,
        frozen=job.frozen,
        folder=training.output / "integers",
    )
    tuned, path = (job.path.with_name(f"{job.path.stem}-{part}.onnx") for part in ("tuned", "trained"))
    onnx_from_torch(learnt.frozen.network, tuned, job.facts)
    after = _choose(job, tuned, path, replace(before, ranges=learnt.ranges))
    calibrated, trained = before.losses.label_agreement, after.losses.label_agreement
    say(f"{job.path.name}: label agreement {calibrated:.4%} as calibrated, {trained:.4%} trained")
    budget = job.config.budgets.int8
    if after.losses.rank(budget) <= before.losses.rank(budget):
        say("training for the integers did not help; the calibrated form is kept")
        return before
    path.replace(job.path)
    iterations = job.config.int8.aware.iterations
    return replace(
        after,
        quantization=after.quantization.model_copy(update={"trained_iterations": iterations}),
        sensitivity=before.sensitivity,
    )
