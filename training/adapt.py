"""`adapt`: a source network and unlabelled target frames in, an adapted network out.

Until the adapted network is on disk, nothing here can open a target label: it is given `Frames`, which have none.
Source data are opened for a method that says it learns from them, and for no other. The report comes after, and reads
labels only where the config names a labelled test set.
"""

from pathlib import Path
from typing import Any

import torch

from runtime.command import say
from runtime.errors import ConfigError
from runtime.files import writable_folder
from training.checkpoint import NetworkSpec, read_network, save_network
from training.config import AdaptationConfig, TrainingConfig
from training.data.open import described, identified, open_frames, open_labelled_frames
from training.device import Compute, choose_compute
from training.distributed import ALONE, World
from training.frame_sizes import require_servable
from training.labels.rounds import rounds_of
from training.methods.choice import build_method
from training.methods.method import Setting
from training.networks.network import SegmentationNetwork
from training.preparation import Prepared, prepare
from training.schedule import tell_of_warmup
from training.source import fingerprint, load_source, source_frames, source_path
from training.statistics.batch_norm import has_statistics
from training.statistics.global_batch_norm import by_own_batch
from training.statistics.label_free import score
from training.target_images import SCORED_FRAMES, network_inputs
from training.trainer import Run, train
from training.veto import lost_classes
from training.views.batches import TargetBatches

__all__ = ["adapt", "adapted_path", "train_on_target"]


def adapted_path(config: TrainingConfig) -> Path:
    """Where the adapted network is written.

    Raises:
        ConfigError: the source network is there, or where one that is not delivered is kept; it would be overwritten.
    """
    source, path = source_path(config), config.output / "adapted.safetensors"
    if source.resolve() in (path.resolve(), _vetoed_path(config).resolve()):
        raise ConfigError(
            f"source.path={source} is a file that this run writes: the source network would be lost, and the same "
            f"command would adapt its own result again; set output to another folder than {config.output}, or give "
            "the network that was adapted first"
        )
    return path


def adapt(config: TrainingConfig, *, prepared_in: Path | None = None, world: World = ALONE) -> dict[str, Any]:
    """Adapt and write the network; does nothing where that was done already, from these frames with these settings.

    Args:
        config: the run.
        prepared_in: a folder in which several runs share what they start from; the run's own where it is None.
        world: the processes that share the work.

    Returns:
        What was decided and measured without labels, as it stands in the network file's provenance.

    Raises:
        ConfigError: the config describes another source network, one that this run would overwrite, a size that
            cannot serve the frames, or a batch that cannot be shared equally.
        DataError: fewer than two target frames, one that cannot be read, or no test frames where some are configured.
        CheckpointError: the source network's file cannot be used.
        TrainingError: a loss or gradient is not finite, or no prediction is.
    """
    path, compute = adapted_path(config), choose_compute(config.device, config.precision, world)
    world.places(config.adaptation.batch_size)  # refused now, not after hours of preparation
    source, frames = load_source(config), open_frames(config.target.images)
    # Told now: when all is learnt, a folder that is written to holds others.
    target = described(config.target.images, frames)
    settings = {
        "adaptation": config.adaptation,
        "target": target,
        "model": config.model,
        "space": config.label_space,
        "seed": config.seed,
        "source": source.sha256,
    }
    if (labelled := source_frames(config)) is not None:
        settings["source_frames"] = identified(labelled, open_labelled_frames(labelled, config.label_space))
    mark = fingerprint(settings, compute)
    if path.exists() and (found := read_network(path)[1].provenance).get("settings") == mark:
        say(f"network is already adapted: {path}")
        return found
    tell_of_warmup(config.adaptation.optimizer, config.adaptation.iterations, key="adaptation.optimizer")
    if config.target.test is not None:
        require_servable(open_frames(config.target.test), config.model.network_hw, key="target.test", world=world)
    prepared = prepare(config, source, compute, prepared_in or config.output / "prepared", frames=frames)
    folder = writable_folder(config.output / "adapt" / mark)
    is_same_domain = bool(prepared.spec.provenance["is_same_domain"])
    if is_same_domain:
        say("the target looks like the source's own domain: the network is left as it is (adaptation.min_shift)")
        student = prepared.network
    else:
        student = train_on_target(prepared.network, prepared, config, compute, folder, mark)
    spec = prepared.spec.with_provenance(
        made_by="adapt",
        settings=mark,
        seed=config.seed,
        source_sha256=source.sha256,
        target_frames=target,
        adaptation=config.adaptation.model_dump(mode="json"),
        lost_classes=[],
        is_vetoed=False,
    )
    if world.is_first:
        if not is_same_domain:
            spec = spec.with_provenance(settled_share=_settle(student, prepared, config.adaptation, compute))
            student, spec = _unless_vetoed(student.eval(), spec, prepared, config, compute)
        spec = _scored(student, spec, prepared, compute)
        save_network(path, student, spec)
        (folder / "state.safetensors").unlink(missing_ok=is_same_domain)
    world.wait()
    return read_network(path)[1].provenance


def train_on_target(
    network: SegmentationNetwork,
    prepared: Prepared,
    config: TrainingConfig,
    compute: Compute,
    folder: Path,
    mark: str,
    *,
    likeness: float = 0.0,
) -> SegmentationNetwork:
    """All steps of the configured method that are left; the finished state stays in `folder`.

    Args:
        network: what is trained, in place: the prepared network itself, or one of its form made from it.
        prepared: labels, and importance as the prepared network judges it.
        config: the run.
        compute: where and how precisely.
        folder: receives state and metrics.
        mark: names everything the result depends on.
        likeness: weight of the term by which the student stays with what the prepared network predicts.

    Returns:
        The student.

    Raises:
        TrainingError: a loss or gradient is not finite.
        CheckpointError: the state in `folder` belongs to other settings or is damaged.
    """
    adaptation, method_config = config.adaptation, config.adaptation.method
    prepared.make_labels(adaptation, compute)
    form = method_config.needs.importance
    importance = None if form is None else prepared.importance(form, compute)
    num_classes = prepared.spec.label_space.num_classes
    setting = Setting(
        network,
        prepared.spec.frame_input().to(compute.device),
        prepared.pseudo_labels.class_prior(len(prepared.frames), num_classes).to(compute.device),
        compute,
        iterations=adaptation.iterations,
        has_fixed_statistics=adaptation.student_statistics == "fixed",
        judge=prepared.network,
        likeness=likeness,
    )
    # What a method builds beside the student starts alike in every process, and again after a kill.
    torch.manual_seed(config.seed)
    method = build_method(method_config, setting)
    labelled = source_frames(config)
    source = None if labelled is None else open_labelled_frames(labelled, prepared.spec.label_space)
    for part in rounds_of(method.student, prepared, adaptation, folder, compute):
        batches = TargetBatches(
            prepared.frames, part.labels, importance, adaptation, config.seed, compute.world, source=source
        )
        run = Run(
            folder=folder,
            fingerprint=mark,
            batches=batches,
            iterations=part.last,
            batch_size=adaptation.batch_size,
            workers=config.workers,
            checkpoint_every=adaptation.checkpoint_every,
            optimizer=adaptation.optimizer,
            compute=compute,
            seed=config.seed,
            title=f"adapt ({method_config.name})",
        )
        train(method, run, compute.move)
    return by_own_batch(method.student)


def _settle(
    student: SegmentationNetwork, prepared: Prepared, config: AdaptationConfig, compute: Compute
) -> float | None:
    """Give the student the statistics it is deployed with; the target's share of them, None where they stay.

    While training by batch its running statistics were those of colour-changed crops, which no camera delivers;
    `settled_statistics: running` delivers them all the same, as the authors' code does.
    """
    is_moved = config.student_statistics == "batch" and config.settled_statistics != "running"
    if not is_moved or not has_statistics(student):
        return None
    share = prepared.settle(student, config, compute)
    say(f"what was learnt settled at a share of {share} of target statistics")
    return share


def _vetoed_path(config: TrainingConfig) -> Path:
    return config.output / "vetoed.safetensors"


def _unless_vetoed(
    student: SegmentationNetwork, spec: NetworkSpec, prepared: Prepared, config: TrainingConfig, compute: Compute
) -> tuple[SegmentationNetwork, NetworkSpec]:
    """The student, or what it started from where it lost too many classes, and the spec that tells which of them."""
    start = compute.place(prepared.load_start(config))
    images = list(network_inputs(spec, prepared.frames, compute, limit=SCORED_FRAMES))
    lost, num_present = lost_classes(start, student, images, compute)
    names = [spec.label_space.names[index] for index in lost]
    is_vetoed = len(lost) > config.adaptation.max_lost_classes * num_present
    spec = spec.with_provenance(lost_classes=names, is_vetoed=is_vetoed)
    if not is_vetoed:
        return student, spec
    kept = _vetoed_path(config)
    save_network(kept, student, spec)
    say(
        f"WARNING: the adapted network hardly predicts {len(lost)} of {num_present} classes any more "
        f"({', '.join(names)}), more than adaptation.max_lost_classes={config.adaptation.max_lost_classes} allows: "
        f"delivered is the network that training started from; what it learnt is kept as {kept}. Fewer iterations, a "
        "smaller learning rate or another method may do better"
    )
    return start, spec.with_provenance(settled_share=None)


def _scored(student: SegmentationNetwork, spec: NetworkSpec, prepared: Prepared, compute: Compute) -> NetworkSpec:
    """The spec with the student's label-free scores."""
    images = list(network_inputs(spec, prepared.frames, compute, limit=SCORED_FRAMES))
    scores = score(student, images, compute).as_dict()
    say(f"without labels, before: {spec.provenance['scores_before']}; after: {scores}")
    return spec.with_provenance(scores_after=scores)
