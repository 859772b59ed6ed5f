"""State dicts of networks that are not ours to know: loaded into the module they were saved from, whole or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from runtime.command import say
from runtime.errors import CheckpointError
from runtime.files import sha256_of
from runtime.labels import LabelSpace
from training.checkpoint import NetworkSpec, load_tensors
from training.networks.config import ModelConfig
from training.networks.network import SegmentationNetwork
from training.public_checkpoints.read import read_document
from training.public_checkpoints.unwrap import DICTIONARIES

__all__ = ["load_plain"]


def load_plain(path: Path, model: ModelConfig, label_space: LabelSpace) -> tuple[SegmentationNetwork, NetworkSpec]:
    """Load a state dict into the network a config builds, on the CPU.

    Args:
        path: a state dict, bare or under a usual key such as `state_dict`; every name may start with `module.`.
        model: a kind that wraps a module of its own.
        label_space: whose classes the network tells apart.

    Raises:
        CheckpointError: the file cannot be read, holds no state dict, or does not fit the network in every tensor.
    """
    provenance = {"made_by": "state dict", "file": path.name, "sha256": sha256_of(path)} if path.is_file() else {}
    tensors = _state_dict(read_document(path), path)
    spec = NetworkSpec(model=model, label_space=label_space, provenance=provenance)
    network = spec.build()
    load_tensors(cast(nn.Module, network.inner), tensors, path)
    say(f"{path}: a state dict of {len(tensors)} tensors, all in their places")
    return network, spec


def _state_dict(document: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    # The file itself last: beside a dictionary of weights some keep a score or a step as a tensor.
    candidates = [*(document[key] for key in DICTIONARIES if isinstance(document.get(key), Mapping)), document]
    for candidate in candidates:
        tensors = {name: value for name, value in candidate.items() if isinstance(value, Tensor)}
        if tensors:
            is_parallel = all(name.startswith("module.") for name in tensors)
            return {name.removeprefix("module.") if is_parallel else name: value for name, value in tensors.items()}
    raise CheckpointError(
        f"checkpoint {path} holds no state dict; its keys are {', '.join(map(str, list(document)[:5])) or 'none'}; "
        "save `network.state_dict()`, bare or as 'state_dict'"
    )
