"""Files of weights: safetensors only, so that opening one runs no code; each says what it is.

A *network file* holds a network and the `NetworkSpec` it needs to be rebuilt, so that export and evaluation need
nothing else. A *state file* holds everything a run needs to go on from a step.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from runtime.config import StrictModel
from runtime.errors import CheckpointError
from runtime.files import replacing
from runtime.labels import LabelSpace
from training.frame_network import FrameInput, FrameNetwork
from training.networks.build import build_network
from training.networks.config import FactoryConfig, ModelConfig
from training.networks.network import SegmentationNetwork

__all__ = [
    "NetworkSpec",
    "load_network",
    "load_tensors",
    "read_network",
    "read_tensors",
    "save_network",
    "save_tensors",
]

NETWORK_KIND = "iapc-network-2"
METADATA_KEY = "iapc"


class NetworkSpec(StrictModel):
    """What is needed to rebuild a network and to feed it, and where it came from."""

    model: ModelConfig
    label_space: LabelSpace
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def network_hw(self) -> tuple[int, int]:
        """Height and width the network sees."""
        return self.model.network_hw

    def with_provenance(self, **found: Any) -> "NetworkSpec":
        """The same spec that tells more of where the network came from."""
        return self.model_copy(update={"provenance": {**self.provenance, **found}})

    def seen_at(self, network_hw: tuple[int, int]) -> "NetworkSpec":
        """The same spec of a network that sees frames at another height and width, which `require_sees` tries."""
        return self.model_copy(update={"model": self.model.model_copy(update={"network_hw": network_hw})})

    def build(self, *, imagenet: bool = False) -> SegmentationNetwork:
        """The network with fresh weights."""
        return build_network(self.model, self.label_space.num_classes, imagenet=imagenet)

    def frame_input(self) -> FrameInput:
        """The network's input convention as a module."""
        return FrameInput(self.model.convention)

    def frame_network(self, network: SegmentationNetwork, frame_hw: tuple[int, int]) -> FrameNetwork:
        """The deploy graph of a network for frames of one size."""
        return FrameNetwork(network, self.model.convention, network_hw=self.network_hw, frame_hw=frame_hw)


def save_network(path: Path, network: nn.Module, spec: NetworkSpec) -> None:
    """Write a network file, whole or not at all."""
    save_tensors(path, network.state_dict(), {"kind": NETWORK_KIND, "spec": spec.model_dump_json()})


def load_network(path: Path, *, factory: str | None = None) -> tuple[SegmentationNetwork, NetworkSpec]:
    """Rebuild the network of a network file, on the CPU.

    Args:
        path: the file.
        factory: the function a file may call to build a network of the user's own. A file must not choose what
            code runs, so the name comes from the run's config and the file's has to agree.

    Raises:
        CheckpointError: the file is missing, damaged, not a network file, lacks a tensor, or names another factory.
    """
    tensors, spec = read_network(path)
    if isinstance(spec.model, FactoryConfig) and spec.model.factory != factory:
        raise CheckpointError(
            f"{path} is built by factory {spec.model.factory!r}, which runs code; the config "
            f"{f'allows only {factory!r}' if factory else 'names none'}. If you trust the file, name it: "
            f"training.model.factory, export.factory and benchmarks.factory are {spec.model.factory}"
        )
    network = spec.build()
    load_tensors(network, tensors, path)
    return network, spec


def read_network(path: Path) -> tuple[dict[str, Tensor], NetworkSpec]:
    """Tensors and spec of a network file, of which nothing is built.

    Raises:
        CheckpointError: the file is missing, damaged, or not a network file.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") != NETWORK_KIND:
        raise CheckpointError(
            f"{path} is not a network file (kind {metadata.get('kind')!r}, expected {NETWORK_KIND!r}); "
            "give a file that `train-source` or `adapt` of this version wrote"
        )
    try:
        return tensors, NetworkSpec.model_validate_json(metadata["spec"])
    except ValidationError as error:
        raise CheckpointError(f"{path} describes a network this version cannot build: {error}") from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts as one safetensors file, whole or not at all; equal content gives equal bytes.

    All texts go under one key: safetensors writes several in no fixed order.
    """
    header = {METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)}
    with replacing(path) as temporary:
        save_file(_apart(tensors), temporary, header)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each in memory of its own: safetensors refuses those that share it, as tied weights do."""
    storages, apart = set(), {}
    for name, tensor in tensors.items():
        plain = tensor.detach().contiguous()
        storage = plain.untyped_storage().data_ptr()
        apart[name] = plain.clone() if storage in storages else plain
        storages.add(storage)
    return apart


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and texts of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated, or not safetensors.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; run `make adapt`, or correct the path")
    try:
        with safe_open(path, framework="pt") as file:
            texts = (file.metadata() or {}).get(METADATA_KEY, "{}")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(texts)  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged or not a safetensors file ({error}); restore it or make it again"
        ) from error


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load every tensor of a network, refusing a partial load: it looks like success and predicts noise.

    Raises:
        CheckpointError: a tensor is missing, left over, of another shape, or not finite.
    """
    own = network.state_dict()
    problems = {
        "missing": sorted(own.keys() - tensors.keys()),
        "left over": sorted(tensors.keys() - own.keys()),
        "of another shape": sorted(
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own.keys() & tensors.keys()
            if own[name].shape != tensors[name].shape
        ),
        # An infinity that a fresh network has too, such as an attention mask's, is meant.
        "not finite": sorted(
            name
            for name in own.keys() & tensors.keys()
            if not (tensors[name].isfinite().all() or torch.equal(tensors[name], own[name].cpu()))
        ),
    }
    found = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names]
    if found:
        raise CheckpointError(f"checkpoint {path} does not fit the network: tensors {'; '.join(found)}")
    network.load_state_dict(dict(tensors))
