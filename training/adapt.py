"""`adapt`: a source network and unlabelled target frames in, an adapted network out.

Until the adapted network is on disk, nothing here can open source data or a target label: it is given `Frames`,
which have none. The report comes after, and reads labels only where the config names a labelled test set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runtime.command import progress, say
from runtime.errors import ConfigError, DataError
from runtime.files import sha256_of, writable_folder
from training.batch_norm import Statistics, blend, estimate_statistics, load_statistics, read_statistics
from training.batches import TargetBatch, TargetBatches
from training.checkpoint import NetworkSpec, load_network, save_network
from training.config import AdaptationConfig, TrainingConfig
from training.data.frames import Frames
from training.data.open import open_frames
from training.device import Compute, choose_compute
from training.label_free import choose_share, score
from training.methods.iapc import Iapc
from training.networks import DeepLabV2
from training.pseudo_labels import PseudoLabels, make_pseudo_labels
from training.source import fingerprint, source_path
from training.trainer import Run, train

__all__ = ["adapt", "adapted_path", "network_inputs", "target_statistics"]

STATISTICS_FRAMES = 200
SCORED_FRAMES = 32
FRAMES_PER_BATCH = 4


def adapted_path(config: TrainingConfig) -> Path:
    """Where the adapted network is written."""
    return config.output / "adapted.safetensors"


def adapt(config: TrainingConfig) -> dict[str, Any]:
    """Adapt and write the network; does nothing where that was done already.

    Returns:
        What was decided and measured without labels, as it stands in the network file's provenance.

    Raises:
        DataError: fewer than two target frames.
    """
    path, compute = adapted_path(config), choose_compute(config.device, config.precision)
    source, source_spec = load_network(source_path(config))
    _require_described(config, source_spec)
    settings = {
        "adaptation": config.adaptation,
        "target": config.target.adapt,
        "network_hw": config.network.network_hw,
        "seed": config.seed,
        "source": sha256_of(source_path(config)),
    }
    mark = fingerprint(settings, compute)
    if path.exists() and load_network(path)[1].provenance.get("settings") == mark:
        say(f"network is already adapted: {path}")
        return load_network(path)[1].provenance
    frames = _open_target(config)
    folder = writable_folder(config.output / "adapt" / mark)
    provenance = {"made_by": "adapt", "settings": mark, "seed": config.seed, "source_sha256": settings["source"]}
    spec = source_spec.model_copy(update={"network_hw": config.network.network_hw, "provenance": provenance})
    _require_deployable(source, spec, frames)
    initial, spec = _initial_network(compute.place(source), spec, frames, config.adaptation, compute, folder)
    labels = _pseudo_labels(initial, spec, frames, config.adaptation, compute, folder)
    student = _train(initial, spec, frames, labels, config, compute, folder)
    spec = _settle(student, spec, frames, config.adaptation, compute)
    save_network(path, student, spec)
    (folder / "state.safetensors").unlink()
    return spec.provenance


def target_statistics(network: DeepLabV2, spec: NetworkSpec, frames: Frames, compute: Compute) -> Statistics:
    """Batch-norm statistics of a network on clean target frames, at the size it sees when deployed."""
    images = network_inputs(spec, frames, compute, limit=STATISTICS_FRAMES)
    with compute.autocast():
        return estimate_statistics(network, network, images)


def network_inputs(spec: NetworkSpec, frames: Frames, compute: Compute, *, limit: int) -> Iterator[Tensor]:
    """Up to `limit` frames, evenly spread, as batches (N, 3, *network_hw) of network input.

    The last batch is full too, with frames repeated: batch statistics of a single frame would count as much as
    those of a whole batch.
    """
    frame_input = spec.frame_input().to(compute.device)
    indices = np.linspace(0, len(frames) - 1, num=min(limit, len(frames)), dtype=int)
    rest = -len(indices) % FRAMES_PER_BATCH
    indices = np.concatenate([indices, np.resize(indices, rest)])
    for batch in progress(indices.reshape(-1, FRAMES_PER_BATCH), title="target frames", unit="batch"):
        images = [torch.from_numpy(frames.image(int(index))).to(compute.device)[None] for index in batch]
        inputs = torch.cat([frame_input(image, spec.network_hw) for image in images])
        yield inputs.contiguous(memory_format=torch.channels_last)


def _require_described(config: TrainingConfig, spec: NetworkSpec) -> None:
    """The config must describe the source network it names, not another one.

    Raises:
        ConfigError: backbone, input convention or label space differ.
    """
    asked = (config.network.backbone, config.network.input, config.label_space)
    found = (spec.backbone, spec.input, spec.label_space)
    if asked != found:
        raise ConfigError(
            f"{source_path(config)} holds a network with backbone, input and label space {', '.join(found)}; "
            f"the config says {', '.join(asked)}; correct network.backbone, network.input and label_space"
        )


def _open_target(config: TrainingConfig) -> Frames:
    frames = open_frames(config.target.adapt)
    if len(frames) < 2:
        raise DataError(
            f"the target has {len(frames)} frame(s); adaptation needs at least 2, and some hundred to be worth it"
        )
    return frames


def _require_deployable(network: DeepLabV2, spec: NetworkSpec, frames: Frames) -> None:
    """Refuse a network size the deploy graph cannot serve, before hours are spent on adapting for it.

    Raises:
        ConfigError: the frames are more than twice the network's size.
    """
    height, width = frames.image(0).shape[:2]
    try:
        spec.frame_network(network, (height, width))
    except ValueError as error:
        raise ConfigError(f"network.network_hw: {error}") from error


def _initial_network(
    source: DeepLabV2, spec: NetworkSpec, frames: Frames, config: AdaptationConfig, compute: Compute, folder: Path
) -> tuple[DeepLabV2, NetworkSpec]:
    """The source network with target statistics blended in; kept on disk, so that a resumed run has the same."""
    path = folder / "initial.safetensors"
    if path.exists():
        network, spec = load_network(path)
        return compute.place(network), spec
    share = config.statistics_share
    own, decided = read_statistics(source), {}
    images = list(network_inputs(spec, frames, compute, limit=SCORED_FRAMES))
    if share == "auto":
        target = target_statistics(source, spec, frames, compute)
        share, scores = choose_share(source, images, source=own, target=target, compute=compute)
        decided = {"shares_tried": {str(tried): found.as_dict() for tried, found in scores.items()}}
    elif share > 0:
        target = target_statistics(source, spec, frames, compute)
    if share > 0:
        load_statistics(source, blend(own, target, share))
    say(f"share of target statistics: {share} ({'chosen without labels' if decided else 'given'})")
    scored = score(source, images, compute).as_dict()
    provenance = {**spec.provenance, "statistics_share": share, **decided, "scores_before": scored}
    spec = spec.model_copy(update={"provenance": provenance})
    save_network(path, source, spec)
    return source, spec


def _pseudo_labels(
    initial: DeepLabV2, spec: NetworkSpec, frames: Frames, config: AdaptationConfig, compute: Compute, folder: Path
) -> PseudoLabels:
    labels = PseudoLabels(folder / "pseudo_labels")
    make_pseudo_labels(
        initial.eval(),
        spec.frame_input().to(compute.device),
        frames,
        labels,
        network_hw=spec.network_hw,
        scales=config.pseudo_labels.scales,
        mirror=config.pseudo_labels.mirror,
        compute=compute,
    )
    return labels


def _train(
    initial: DeepLabV2,
    spec: NetworkSpec,
    frames: Frames,
    labels: PseudoLabels,
    config: TrainingConfig,
    compute: Compute,
    folder: Path,
) -> DeepLabV2:
    adaptation = config.adaptation
    method = Iapc(
        initial,
        spec.frame_input().to(compute.device),
        adaptation.method,
        class_prior=labels.class_prior(len(frames), spec.space.num_classes).to(compute.device),
        has_fixed_statistics=adaptation.student_statistics == "fixed",
        compute=compute,
    )
    run = Run(
        folder=folder,
        fingerprint=str(spec.provenance["settings"]),
        batches=TargetBatches(frames, labels, adaptation, config.seed),
        iterations=adaptation.iterations,
        batch_size=adaptation.batch_size,
        workers=config.workers,
        checkpoint_every=adaptation.checkpoint_every,
        optimizer=adaptation.optimizer,
        compute=compute,
        title=f"adapt ({adaptation.method.name})",
    )
    train(method, run, lambda batch: TargetBatch(batch.names, *(view.to(compute.device) for view in batch[1:])))
    return method.student


def _settle(
    student: DeepLabV2, spec: NetworkSpec, frames: Frames, config: AdaptationConfig, compute: Compute
) -> NetworkSpec:
    """Give the student the statistics it is deployed with; return the spec with its scores.

    While training by batch its running statistics were those of colour-changed crops, which no camera delivers.
    """
    if config.student_statistics == "batch":
        load_statistics(student, target_statistics(student, spec, frames, compute))
    scores = score(student, list(network_inputs(spec, frames, compute, limit=SCORED_FRAMES)), compute).as_dict()
    say(f"without labels, before: {spec.provenance['scores_before']}; after: {scores}")
    return spec.model_copy(update={"provenance": {**spec.provenance, "scores_after": scores}})
