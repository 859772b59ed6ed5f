"""`train-source`: a source network from labelled source frames, where none is given."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from runtime.command import say
from runtime.files import writable_folder, write_json
from training.batches import SourceBatch, SourceBatches
from training.checkpoint import NetworkSpec, load_network, save_network
from training.config import GivenSource, TrainedSource, TrainingConfig
from training.data.open import open_labelled_frames
from training.device import Compute, choose_compute
from training.evaluate import evaluate
from training.methods.supervised import Supervised
from training.trainer import Run, train

__all__ = ["fingerprint", "source_path", "train_source"]


def source_path(config: TrainingConfig) -> Path:
    """Where the source network is: given, or written by `train-source`."""
    match config.source:
        case GivenSource(path=path):
            return path
        case TrainedSource():
            return config.output / "source.safetensors"


def train_source(config: TrainingConfig) -> dict[str, Any]:
    """Train and write the source network; does nothing where it is given or already there.

    Returns:
        Key figures: `checkpoint`, and `validation_miou` where source validation frames are configured.
    """
    path = source_path(config)
    if isinstance(config.source, GivenSource):
        load_network(path)
        say(f"source network is given: {path}")
        return {"checkpoint": str(path)}
    source = config.source
    compute = choose_compute(config.device, config.precision)
    settings = {"network": config.network, "source": source, "seed": config.seed, "space": config.label_space}
    spec = NetworkSpec(
        backbone=config.network.backbone,
        input=config.network.input,
        label_space=config.label_space,
        network_hw=config.network.network_hw,
        provenance={"made_by": "train-source", "settings": fingerprint(settings, compute), "seed": config.seed},
    )
    if path.exists() and load_network(path)[1].provenance == spec.provenance:
        say(f"source network is already trained: {path}")
    else:
        folder = writable_folder(config.output / "source" / str(spec.provenance["settings"]))
        _train(config, source, spec, folder, compute)
    return _report(path, config, source, compute)


def fingerprint(settings: dict[str, Any], compute: Compute) -> str:
    """Short hash of everything a run's result depends on; configs count by their values."""
    plain = {
        key: value.model_dump(mode="json") if hasattr(value, "model_dump") else value for key, value in settings.items()
    }
    plain["compute"] = [compute.device.type, compute.precision]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _train(config: TrainingConfig, source: TrainedSource, spec: NetworkSpec, folder: Path, compute: Compute) -> None:
    frames = open_labelled_frames(source.frames, spec.space)
    torch.manual_seed(config.seed)
    network = compute.place(spec.build(imagenet=config.network.imagenet))
    run = Run(
        folder=folder,
        fingerprint=str(spec.provenance["settings"]),
        batches=SourceBatches(frames, source, config.seed),
        iterations=source.iterations,
        batch_size=source.batch_size,
        workers=config.workers,
        checkpoint_every=source.checkpoint_every,
        optimizer=source.optimizer,
        compute=compute,
        title="train-source",
    )
    train(
        Supervised(network, spec.frame_input().to(compute.device), compute),
        run,
        lambda batch: SourceBatch(batch.names, batch.images.to(compute.device), batch.labels.to(compute.device)),
    )
    save_network(source_path(config), network, spec)
    run.state_path.unlink()


def _report(path: Path, config: TrainingConfig, source: TrainedSource, compute: Compute) -> dict[str, Any]:
    figures: dict[str, Any] = {"checkpoint": str(path)}
    if source.validation is not None:
        network, spec = load_network(path)
        frames = open_labelled_frames(source.validation, spec.space)
        network = compute.place(network)
        matrix = evaluate(network, spec, frames, compute, title="source validation")
        figures["validation_miou"] = round(matrix.miou(), 2)
        write_json(config.output / "source.json", {**figures, "iou": dict(matrix.iou_by_name(spec.space.names))})
        say(f"source network on source validation frames: {figures['validation_miou']} mIoU")
    return figures
