"""`train-source`: a source network from labelled source frames, where none is given."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runtime.command import say
from runtime.errors import ConfigError, DataError
from runtime.files import sha256_of, writable_folder, write_json
from runtime.labels import LabelSpace
from training.checkpoint import NetworkSpec, load_network, read_network, save_network
from training.config import GivenSource, TrainedSource, TrainingConfig
from training.data.config import FramesConfig
from training.data.open import described, open_frames, open_labelled_frames
from training.device import Compute, choose_compute
from training.distributed import ALONE, World
from training.evaluate import evaluate
from training.frame_sizes import require_servable
from training.methods.supervised import Supervised
from training.networks.config import DeepLabV2Config, FactoryConfig, ModelConfig
from training.networks.network import SegmentationNetwork
from training.networks.probe import require_usable
from training.public_checkpoints.load import load_public, load_trunk
from training.public_checkpoints.plain import load_plain
from training.public_checkpoints.read import is_our_own
from training.schedule import tell_of_warmup
from training.trainer import Run, train
from training.views.batches import SourceBatches

__all__ = [
    "LoadedSource",
    "factory_of",
    "fingerprint",
    "load_source",
    "source_frames",
    "source_path",
    "train_source",
]

# Keys of a config that no weight depends on: when a state is kept, and what is only measured.
WITHOUT_EFFECT = {"checkpoint_every", "validation"}


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """The source network on the CPU, what is known of it, and the hash of its file.

    `is_foreign`: another project wrote the file, so that nothing in it says how the network was fed.
    """

    network: SegmentationNetwork
    spec: NetworkSpec
    sha256: str
    is_foreign: bool = False


def load_source(config: TrainingConfig) -> LoadedSource:
    """Read the source network, wherever it comes from, and make sure that the config describes it.

    Raises:
        CheckpointError: the file cannot be used.
        ConfigError: the config describes another network.
    """
    path = source_path(config)
    if is_our_own(path):
        network, spec = load_network(path, factory=factory_of(config.model))
        _require_described(config, spec)
        return LoadedSource(network, spec, sha256_of(path))
    load = load_public if isinstance(config.model, DeepLabV2Config) else load_plain
    network, spec = load(path, config.model, config.label_space)
    return LoadedSource(network, spec, sha256_of(path), is_foreign=True)


def factory_of(model: ModelConfig) -> str | None:
    """The function of the user's own that a config allows to be called."""
    return model.factory if isinstance(model, FactoryConfig) else None


def _require_described(config: TrainingConfig, spec: NetworkSpec) -> None:
    """The config must describe the source network it names, not another one.

    Raises:
        ConfigError: the model, its input convention or the label space differ.
    """
    ignored = {"network_hw", "imagenet", "zero_init_residual"}
    asked, found = (model.model_dump(exclude=ignored) for model in (config.model, spec.model))
    differing = [key for key in asked.keys() | found.keys() if asked.get(key) != found.get(key)]
    if differing:
        # Of another kind, all other keys differ too; which of them comes first says nothing.
        key = "kind" if "kind" in differing else min(differing)
        raise ConfigError(
            f"{source_path(config)} holds another network than the config describes: its {key} is "
            f"{found.get(key)!r}, the config says {asked.get(key)!r}; correct model.{key}"
        )
    if spec.label_space != config.label_space:
        raise ConfigError(
            f"{source_path(config)} holds a network of {_difference(spec.label_space, config.label_space)}; correct "
            "label_space, or train the network anew"
        )


def _difference(found: LabelSpace, asked: LabelSpace) -> str:
    """What sets the label space of a file apart from the config's."""
    if found.names != asked.names:
        return f"other classes than the config describes: its label_space is {found}, the config says {asked}"
    return f"the config's classes, but with other {'colours' if found.palette != asked.palette else 'merges'}"


def source_path(config: TrainingConfig) -> Path:
    """Where the source network is: given, or written by `train-source`."""
    match config.source:
        case GivenSource(path=path):
            return path
        case TrainedSource():
            return config.output / "source.safetensors"


def source_frames(config: TrainingConfig) -> FramesConfig | None:
    """The labelled source frames that the configured method learns from; None for a source-free method.

    Raises:
        ConfigError: it learns from some, and the config names none.
    """
    method = config.adaptation.method
    if not method.needs.source:
        return None
    if config.source.frames is None:
        raise ConfigError(
            f"adaptation.method {method.name} learns from labelled source frames, and the config names none; give "
            "source.frames, or choose a source-free method"
        )
    return config.source.frames


def train_source(config: TrainingConfig, *, world: World = ALONE) -> dict[str, Any]:
    """Train and write the source network; does nothing where it is given, or already there from these frames.

    Args:
        config: the run.
        world: the processes that share the work.

    Returns:
        Key figures: `checkpoint`, and `validation_miou` where source validation frames are configured.

    Raises:
        ConfigError: the config describes another network than the given one, one that cannot be trained at its sizes,
            or one too small for the validation frames.
        DataError: a frame or label cannot be read.
        CheckpointError: a network's file cannot be used.
        TrainingError: a loss or gradient is not finite.
    """
    path = source_path(config)
    if isinstance(config.source, GivenSource):
        load_source(config)
        say(f"source network is given: {path}")
        return {"checkpoint": str(path)}
    source = config.source
    compute = choose_compute(config.device, config.precision, world)
    found = read_network(path)[1].provenance if path.exists() else {}
    told = _learnt_from(source, config.label_space, found)
    settings = {
        "model": config.model,
        "source": source,
        "frames": told,
        "seed": config.seed,
        "space": config.label_space,
    }
    mark = fingerprint(settings, compute)
    if found.get("settings") == mark:
        say(f"source network is already trained: {path}")
    else:
        if source.validation is not None:
            validation = open_frames(source.validation)
            require_servable(validation, config.model.network_hw, key="source.validation", world=world)
        provenance = {"made_by": "train-source", "settings": mark, "seed": config.seed, "source_frames": told}
        spec = NetworkSpec(model=config.model, label_space=config.label_space, provenance=provenance)
        _train(config, source, spec, writable_folder(config.output / "source" / mark), compute)
    return _report(path, config, source, compute)


def fingerprint(settings: dict[str, Any], compute: Compute) -> str:
    """Short hash of everything a run's result depends on; configs count by their values, but for `WITHOUT_EFFECT`."""
    plain = {
        key: value.model_dump(mode="json", exclude=WITHOUT_EFFECT) if hasattr(value, "model_dump") else value
        for key, value in settings.items()
    }
    plain["compute"] = [compute.device.type, compute.precision]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _learnt_from(source: TrainedSource, space: LabelSpace, found: Mapping[str, Any]) -> dict[str, Any]:
    """Which frames the network learns from; where they are out of reach, those that one which is there learnt from.

    Source frames are rarely at hand wherever their network is adapted, and one that is trained does without them.

    Args:
        source: how it is trained.
        space: its classes.
        found: provenance of the network that is there; empty where none is.

    Raises:
        DataError: the frames cannot be opened, and no network tells of any.
    """
    try:
        return described(source.frames, open_labelled_frames(source.frames, space))
    except DataError as error:
        if "source_frames" not in found:
            raise
        known: dict[str, Any] = found["source_frames"]
        say(f"source frames are out of reach ({error}); the network that is there learnt from {known['num_frames']}")
        return known


def _train(config: TrainingConfig, source: TrainedSource, spec: NetworkSpec, folder: Path, compute: Compute) -> None:
    frames = open_labelled_frames(source.frames, spec.label_space)
    torch.manual_seed(config.seed)
    network = spec.build(imagenet=getattr(config.model, "imagenet", False))
    if source.start_from is not None:
        load_trunk(source.start_from, network)
    network = compute.place(network)
    _require_usable(network, config, source, spec, compute)
    tell_of_warmup(source.optimizer, source.iterations, key="source.optimizer")
    run = Run(
        folder=folder,
        fingerprint=str(spec.provenance["settings"]),
        batches=SourceBatches(frames, source, config.seed, compute.world),
        iterations=source.iterations,
        batch_size=source.batch_size,
        workers=config.workers,
        checkpoint_every=source.checkpoint_every,
        optimizer=source.optimizer,
        compute=compute,
        seed=config.seed,
        title="train-source",
    )
    train(
        Supervised(network, spec.frame_input().to(compute.device), compute),
        run,
        compute.move,
    )
    if compute.world.is_first:
        save_network(source_path(config), network, spec)
        run.state_path.unlink()
    compute.world.wait()


def _require_usable(
    network: SegmentationNetwork, config: TrainingConfig, source: TrainedSource, spec: NetworkSpec, compute: Compute
) -> None:
    """Refuse a network that source training or the adaptation after it cannot use.

    Raises:
        ConfigError: names the key to change.
    """
    adaptation, trial_size = config.adaptation, compute.world.trial_size
    with compute.autocast():
        crop_hw, key = source.views.crop_hw, "source.views.crop_hw"
        require_usable(network, spec, crop_hw, trial_size(source.batch_size), crop_key=key)
        require_usable(network, spec, adaptation.views.crop_hw, trial_size(adaptation.batch_size))


def _report(path: Path, config: TrainingConfig, source: TrainedSource, compute: Compute) -> dict[str, Any]:
    figures: dict[str, Any] = {"checkpoint": str(path)}
    if source.validation is not None:
        network, spec = load_network(path, factory=factory_of(config.model))
        frames = open_labelled_frames(source.validation, spec.label_space)
        network = compute.place(network)
        matrix = evaluate(network, spec, frames, compute, title="source validation")
        figures["validation_miou"] = round(matrix.miou(), 2)
        if compute.world.is_first:
            write_json(
                config.output / "source.json", {**figures, "iou": dict(matrix.iou_by_name(spec.label_space.names))}
            )
        say(f"source network on source validation frames: {figures['validation_miou']} mIoU")
    return figures
