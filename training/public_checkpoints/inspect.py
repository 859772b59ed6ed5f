"""`inspect-checkpoint`: what a file is, what a run file has to say of it, and how its network wants to be fed."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from runtime.command import say
from runtime.labels import LABEL_SPACES
from training.checkpoint import load_network, load_tensors, read_network
from training.data.config import FolderConfig
from training.data.frames import Frames
from training.data.open import open_frames
from training.device import choose_compute
from training.networks.config import FactoryConfig
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import SegmentationNetwork
from training.public_checkpoints.conventions import judge, score_conventions
from training.public_checkpoints.layout import INITIAL_CLASSES, Layout, read_layout
from training.public_checkpoints.load import arrange, missing_and_left_over, model_block
from training.public_checkpoints.read import is_our_own

__all__ = ["inspect_checkpoint"]

LARGEST_HW = (512, 1024)


@dataclass(frozen=True, slots=True)
class _Inspected:
    """What is known of a file: `told` for the JSON line, `model` as one line of YAML."""

    told: dict[str, Any]
    model: str
    label_space: str | dict[str, Any] | None


def inspect_checkpoint(path: Path, frames_folder: Path | None = None) -> dict[str, Any]:
    """Say what a checkpoint is and what configuration it needs.

    Args:
        path: one of ours, or a public DeepLabV2 checkpoint.
        frames_folder: unlabelled target frames, on which the network is shown every input convention.

    Raises:
        CheckpointError: the file cannot be read, or is in no known form.
        DataError: the folder holds no frame that can be read.
    """
    frames = None if frames_folder is None else open_frames(FolderConfig(layout="folder", root=frames_folder))
    if is_our_own(path):
        inspected, network = _inspect_own(path, needs_network=frames is not None)
    else:
        layout = read_layout(path)
        layout = layout.keeping(layout.branches)
        inspected = _inspect_public(layout)
        is_whole = not inspected.told["missing"] and not inspected.told["left_over"]
        network = _public_network(layout) if frames is not None and is_whole else None
    told = inspected.told
    if network is not None and frames is not None:
        told |= _measure(network, frames, _network_hw(frames))
    model = inspected.model
    if told.get("input_is_clear"):
        model = _with_input(model, told["input"])
    classes = f"none known; name its {told['classes']} classes in their order: {{classes: [...]}}"
    label_space = _as_yaml(inspected.label_space) if isinstance(inspected.label_space, dict) else inspected.label_space
    say(f"\nmodel: {model}\nlabel_space: {label_space or classes}")
    return told | {"model": yaml.safe_load(model), "label_space": inspected.label_space}


def _inspect_own(path: Path, *, needs_network: bool) -> tuple[_Inspected, SegmentationNetwork | None]:
    _, spec = read_network(path)
    say(f"{path}: a network file of this project")
    for key, value in spec.provenance.items():
        say(f"  {key}: {value}")
    model = _as_yaml(spec.model.model_dump(mode="json"))
    told = {"kind": "network file", "classes": spec.label_space.num_classes, "provenance": spec.provenance}
    network = None
    if needs_network and isinstance(spec.model, FactoryConfig):
        say(f"  not measured: its factory {spec.model.factory} would run code")
    elif needs_network:
        network, _ = load_network(path)
    return _Inspected(told, model, spec.label_space.model_dump(mode="json")), network


def _inspect_public(layout: Layout) -> _Inspected:
    with torch.device("meta"):
        missing, left_over = missing_and_left_over(layout, _build(layout).state_dict())
    spaces = [name for name, space in LABEL_SPACES.items() if space.num_classes == layout.num_classes]
    told = {
        "kind": "public checkpoint",
        "family": layout.family_name,
        "projects": layout.family.projects,
        "wrapper": layout.wrapper,
        "backbone": layout.backbone,
        "trunk": layout.trunk,
        "head": layout.head_form,
        "branches": layout.branches,
        "branches_because": layout.evidence,
        "classes": layout.num_classes,
        "dropped": layout.dropped_by_reason(),
        "missing": missing,
        "left_over": left_over,
    }
    say(f"{layout.path}: a public checkpoint")
    for key, value in told.items():
        say(f"  {key}: {value if value else 'none'}")
    if layout.num_classes == INITIAL_CLASSES:
        say("  weights to start training from (source.start_from), not a source network")
    return _Inspected(told, model_block(layout), spaces[0] if spaces else None)


def _build(layout: Layout) -> DeepLabV2:
    return DeepLabV2(
        layout.backbone,
        layout.num_classes,
        trunk=layout.trunk,
        branches=layout.branches,
        head=layout.head_form,
    )


def _public_network(layout: Layout) -> DeepLabV2:
    network = _build(layout)
    load_tensors(network, arrange(layout, network, None), layout.path)
    return network


def _measure(network: SegmentationNetwork, frames: Frames, network_hw: tuple[int, int]) -> dict[str, Any]:
    compute = choose_compute("auto", "auto")
    scores = score_conventions(compute.place(network), frames, network_hw, compute)
    verdict = judge(scores)
    say(f"\nfed with frames at {network_hw}, under each input convention:")
    say(f"  {'':14}{'max-softmax':>12}{'entropy':>10}{'classes':>9}{'surprise':>10}")
    for name, score in scores.items():
        surprise = "-" if score.surprise is None else f"{score.surprise:.3f}"
        say(f"  {name:14}{score.confidence:12.3f}{score.entropy:10.3f}{score.num_classes:9}{surprise:>10}")
    say(f"  fits: {' or '.join(verdict.fitting)}")
    return {
        "conventions": {name: score.as_dict() for name, score in scores.items()},
        "input": verdict.best,
        "input_is_clear": verdict.is_clear,
    }


def _network_hw(frames: Frames) -> tuple[int, int]:
    """The frames' size, halved until it is one the networks of this field are run at; a multiple of 8."""
    height, width = frames.image(0).shape[:2]
    while height > LARGEST_HW[0] * 1.5 or width > LARGEST_HW[1] * 1.5:
        height, width = height // 2, width // 2
    return max(height // 8, 1) * 8, max(width // 8, 1) * 8


def _with_input(model: str, convention: str) -> str:
    return _as_yaml({**yaml.safe_load(model), "input": convention})


def _as_yaml(document: dict[str, Any]) -> str:
    """One line of YAML, keys in their order."""
    return yaml.safe_dump(
        document, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True
    ).strip()
