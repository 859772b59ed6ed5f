"""From a public checkpoint to a network of ours: every tensor in its place, or nothing."""

from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.command import say
from runtime.errors import CheckpointError, ConfigError
from runtime.files import sha256_of
from runtime.labels import LABEL_SPACES, LabelSpace
from training.checkpoint import NetworkSpec, load_tensors
from training.networks.config import DeepLabV2Config, ModelConfig
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import SegmentationNetwork
from training.public_checkpoints.layout import (
    INITIAL_CLASSES,
    Layout,
    backbone_of,
    open_checkpoint,
    read_layout,
    split_ignored,
)

__all__ = ["arrange", "load_public", "load_trunk", "missing_and_left_over", "model_block", "require_described"]

NAMED = 20
"""How many names of tensors a message lists."""


def load_public(path: Path, model: ModelConfig, label_space: LabelSpace) -> tuple[SegmentationNetwork, NetworkSpec]:
    """Load a public DeepLabV2 checkpoint as the network a config describes, on the CPU.

    Args:
        path: `.pth`, `.pth.tar`, `.pt`, `.pkl` or `.safetensors`.
        model: must describe the network in the file.
        label_space: whose classes the network is to tell apart. The rows of a 19-class head are taken by name.

    Raises:
        CheckpointError: the file cannot be read, is in no known form, or lacks a tensor or has one too many.
        ConfigError: the config describes another network; the message has the block that describes this one.
    """
    layout = read_layout(path)
    rows = _rows(layout, label_space)
    layout = layout.keeping(require_described(model, layout).branches)
    spec = NetworkSpec(model=model, label_space=label_space, provenance=_provenance(layout))
    network = spec.build()
    load_tensors(network, arrange(layout, network, rows), path)
    dropped = ", ".join(f"{count} of {reason}" for reason, count in layout.dropped_by_reason().items())
    say(f"{path}: {layout.family.projects}; left out: {dropped or 'nothing'}")
    return network, spec


def load_trunk(path: Path, network: SegmentationNetwork) -> None:
    """Start a DeepLabV2 from the trunk of a checkpoint, ours or public, whatever its head; the head stays at random.

    Raises:
        ConfigError: the network is no DeepLabV2.
        CheckpointError: the file cannot be read, or its trunk is of another depth or stem.
    """
    if not isinstance(network, DeepLabV2):
        raise ConfigError("source.start_from gives the trunk of a deeplab_v2; leave it out with another model.kind")
    opened = open_checkpoint(path)
    tensors, _ = split_ignored(opened)
    backbone = backbone_of(tensors, path)
    own = network.state_dict()
    is_ours = "stem.0.weight" in tensors
    names = {name: _trunk_name(name, has_deep_stem=is_ours) for name in own if _is_trunk(name)}
    if missing := sorted(theirs for name, theirs in names.items() if theirs not in tensors and not _is_counter(name)):
        raise CheckpointError(
            f"checkpoint {path} (a {backbone}) does not fit the trunk that is to start from it: missing "
            f"{_listed(missing)}; correct model.backbone or model.trunk"
        )
    filled = {name: tensors.get(theirs, torch.zeros_like(own[name])) for name, theirs in names.items()}
    load_tensors(network, own | filled, path)
    say(f"trunk starts from {path}; its head is new")


def require_described(model: ModelConfig, layout: Layout) -> DeepLabV2Config:
    """The config, which must describe the network in the file.

    What tensors prove must agree. The form of the trunk and the number of trained branches are conclusions: a value
    the config states itself stands against them, a default does not. The input convention nothing in the file
    tells, so that the config has to state it.

    Raises:
        ConfigError: it describes another network.
    """
    fix = f"describe it as\n  model: {model_block(layout)}"
    if not isinstance(model, DeepLabV2Config):
        raise ConfigError(f"{layout.path} is a DeepLabV2, the config's model.kind is {model.kind!r}; {fix}")
    proven: dict[str, str] = {"backbone": layout.backbone, "head": layout.head_form}
    if layout.has_deep_stem != (model.trunk == "deep_stem"):
        proven["trunk"] = layout.trunk
    concluded: dict[str, str | int] = {"trunk": layout.trunk, "branches": layout.branches}
    for key, value in (proven | concluded).items():
        asked = getattr(model, key)
        if asked == value:
            continue
        found = f"{layout.path} ({layout.family.projects}): its {key} is {value!r}, the config says {asked!r}"
        because = f" ({layout.evidence})" if key == "branches" else ""
        if key in proven or key not in model.model_fields_set:
            raise ConfigError(f"{found}{because}; {fix}")
        say(f"warning: {found}{because}; it goes on as the config says")
    if "input" not in model.model_fields_set:
        raise ConfigError(
            f"{layout.path}: no weight tells how its network was fed, and a wrong convention predicts nonsense; state "
            f"model.input ({layout.family.projects}: {layout.family.input}), or measure it with `python -m training "
            f"inspect-checkpoint {layout.path} --frames FOLDER`; {fix}"
        )
    return model


def model_block(layout: Layout, network_hw: tuple[int, int] = (512, 1024)) -> str:
    """The `model` entry of a run file that describes a checkpoint, as one line of YAML."""
    keys = {"kind": "deeplab_v2", "backbone": layout.backbone, "trunk": layout.trunk}
    keys |= {"branches": str(layout.branches)} if layout.head_form == "sum" else {"head": layout.head_form}
    keys |= {"input": layout.family.input, "network_hw": str(list(network_hw))}
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def arrange(layout: Layout, network: nn.Module, rows: list[int] | None) -> dict[str, Tensor]:
    """The file's tensors under our names.

    Args:
        layout: the file.
        network: what they are for.
        rows: classes of the file's head to keep, in order; all where it is None.

    Raises:
        CheckpointError: a tensor is missing or left over.
    """
    own = network.state_dict()
    missing, left_over = missing_and_left_over(layout, own)
    problems = [
        f"{len(names)} {what} ({_listed(names)})"
        for what, names in (("missing", missing), ("left over", left_over))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"checkpoint {layout.path} ({layout.family.projects}, wrapper: {layout.wrapper}) does not fit the network: "
            f"tensors {'; '.join(problems)}"
        )
    arranged = {}
    for name in own:
        tensor = layout.tensors.get(_file_name(name, layout), torch.tensor(0))
        arranged[name] = tensor[rows] if rows is not None and _is_class_wise(name) else tensor
    return arranged


def missing_and_left_over(layout: Layout, own: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Names in the file's own terms: what the network needs and is not there, and what is there for nothing."""
    names = {name: _file_name(name, layout) for name in own}
    missing = sorted(theirs for name, theirs in names.items() if theirs not in layout.tensors and not _is_counter(name))
    return missing, sorted(layout.tensors.keys() - set(names.values()))


def _rows(layout: Layout, space: LabelSpace) -> list[int] | None:
    """Which classes of the file's head the label space keeps, in its order; None for all as they are."""
    cityscapes = LABEL_SPACES["cityscapes19"].names
    if layout.num_classes == INITIAL_CLASSES != space.num_classes:
        raise CheckpointError(
            f"checkpoint {layout.path} holds weights to start training from, not a source network: its classifier "
            f"has the {INITIAL_CLASSES} classes of PASCAL VOC. Train a source network from it (source.kind train with "
            "source.start_from), or give a checkpoint that was trained on driving scenes"
        )
    is_of_cityscapes = layout.num_classes == len(cityscapes)
    unknown = [name for name in space.names if name not in cityscapes]
    if is_of_cityscapes and not unknown:
        rows = [cityscapes.index(name) for name in space.names]
        if rows == list(range(len(cityscapes))):
            return None
        left_out = ", ".join(name for name in cityscapes if name not in space.names)
        say(
            f"{layout.path}: of its 19 classes label_space {space} keeps {space.num_classes}, "
            f"{f'without {left_out}' if left_out else 'in another order'}"
        )
        return rows
    if layout.num_classes == space.num_classes:
        return None
    fitting = " or ".join(name for name, other in LABEL_SPACES.items() if other.num_classes == layout.num_classes)
    advice = f"use label_space {fitting}" if fitting else "name its classes in their order: label_space.classes"
    if is_of_cityscapes:
        advice += f", or classes that are among its 19, as {', '.join(unknown)} is not"
    raise CheckpointError(
        f"checkpoint {layout.path} tells {layout.num_classes} classes apart, label_space {space} has "
        f"{space.num_classes}; {advice}"
    )


def _provenance(layout: Layout) -> dict[str, object]:
    return {
        "made_by": "public checkpoint",
        "family": layout.family_name,
        "projects": layout.family.projects,
        "file": layout.path.name,
        "sha256": sha256_of(layout.path),
        "wrapper": layout.wrapper,
        "branches": layout.evidence,
        "dropped": layout.dropped_by_reason(),
    }


def _file_name(name: str, layout: Layout) -> str:
    """The name in the file of one of our tensors."""
    if _is_trunk(name):
        return _trunk_name(name, has_deep_stem=layout.has_deep_stem)
    head, rest = layout.head, name.removeprefix("classifier.")
    if layout.head_form == "sum":
        branch, kind = rest.split(".")
        return f"{head.name}{branch}.{head.kernel_name}{kind}"
    part, _, below = rest.partition(".")
    return {"branches": f"{head.name}{below}", "norm": f"bn_pretrain.{below}"}.get(part, f"{head.base}{rest}")


def _is_trunk(name: str) -> bool:
    return not name.startswith("classifier.")


def _trunk_name(name: str, *, has_deep_stem: bool) -> str:
    if has_deep_stem or not name.startswith("stem."):
        return name
    return name.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")


def _is_counter(name: str) -> bool:
    """Batches a batch norm has seen: older files do not have it, and nothing here reads it."""
    return name.endswith("num_batches_tracked")


def _is_class_wise(name: str) -> bool:
    """Whether a tensor has one row per class."""
    parts = name.split(".")
    return parts[0] == "classifier" and (parts[1].isdigit() or parts[1] == "head")


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest
