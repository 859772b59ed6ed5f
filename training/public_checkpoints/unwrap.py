"""From a checkpoint's dictionary to the tensors of one network, whatever it was wrapped in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from runtime.errors import CheckpointError

__all__ = ["Unwrapped", "unwrap"]

Tensors = dict[str, Tensor]
LANDMARK = "layer4.0.conv1.weight"
"""Every ResNet has this tensor; what stands before its name is the wrapper."""
DICTIONARIES = ("state_dict", "model_state_dict", "model_state", "model", "net", "feature_extractor")
PREFIXES = {"module", "Scale", "model", "net", "seg_model", "student", "backbone"}
"""Names under which a network itself is kept; others (`ema_model`, `slow_net`) are copies beside it."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The tensors of a checkpoint, named as in the network inside.

    `dictionary`: keys that led to them; `prefix`: what was stripped from the trunk's names; `beside`: tensors that
    are under another prefix, by their full names.
    """

    dictionary: tuple[str, ...]
    prefix: str
    tensors: Tensors
    beside: Tensors

    @property
    def wrapper(self) -> str:
        """Dictionary and prefix for people."""
        parts = [*(f"[{key!r}]" for key in self.dictionary), *([f"prefix {self.prefix!r}"] if self.prefix else [])]
        return " ".join(parts) or "none"


def unwrap(document: Mapping[str, Any], path: Path) -> Unwrapped:
    """Find the network in a checkpoint's dictionary.

    Raises:
        CheckpointError: there is no ResNet in it, or several of which none is known to be the network itself.
    """
    dictionary, named = _network_dictionary(document, path)
    prefix = _prefix(named, path)
    parent = prefix[: prefix.rstrip(".").rfind(".") + 1]
    tensors: Tensors = {}
    beside: Tensors = {}
    for name, tensor in named.items():
        if name.startswith(prefix):
            tensors[name.removeprefix(prefix)] = tensor
        elif name.startswith(parent):
            # mmsegmentation keeps the head beside the backbone, below the same parent.
            tensors.setdefault(name.removeprefix(parent), tensor)
        else:
            beside[name] = tensor
    if dictionary[-1:] == ("feature_extractor",):
        tensors |= _separate_classifier(document, dictionary)
    return Unwrapped(dictionary, prefix, tensors, beside)


def _network_dictionary(document: Mapping[str, Any], path: Path) -> tuple[tuple[str, ...], Tensors]:
    found = [
        (keys, tensors)
        for keys, tensors in _dictionaries(document, ())
        if any(name.endswith(LANDMARK) for name in tensors)
    ]
    if not found:
        raise CheckpointError(
            f"checkpoint {path} holds no ResNet: no tensor in it is named ...{LANDMARK}; its first keys are "
            f"{', '.join(str(key) for key in list(document)[:5]) or 'none'}. Give a DeepLabV2 on a ResNet, or load "
            "another network with model.kind smp or factory"
        )
    if len(found) == 1:
        return found[0]
    known = [entry for entry in found if entry[0][-1:] and entry[0][-1] in DICTIONARIES]
    if len(known) != 1:
        names = ", ".join(".".join(keys) or "the file itself" for keys, _ in found)
        raise CheckpointError(
            f"checkpoint {path} holds {len(found)} networks ({names}); save a file with the one you mean, as "
            "'state_dict'"
        )
    return known[0]


def _dictionaries(document: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensors]]:
    """Every dictionary inside with its tensors, by the keys that lead to it."""
    tensors = {name: value for name, value in document.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield keys, tensors
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _dictionaries(value, (*keys, str(key)))


def _prefix(named: Tensors, path: Path) -> str:
    prefixes = sorted({name.removesuffix(LANDMARK) for name in named if name.endswith(LANDMARK)})
    if len(prefixes) == 1:
        return prefixes[0]
    known = [prefix for prefix in prefixes if not prefix or set(prefix.split(".")) - {""} <= PREFIXES]
    if len(known) != 1:
        raise CheckpointError(
            f"checkpoint {path} holds {len(prefixes)} networks under the prefixes "
            f"{', '.join(repr(prefix) for prefix in prefixes)}; save a file with the one you mean"
        )
    return known[0]


def _separate_classifier(document: Mapping[str, Any], dictionary: tuple[str, ...]) -> Tensors:
    """Tensors of the `classifier` that stands beside a `feature_extractor`, as `classifier.NAME`."""
    for key in dictionary[:-1]:
        document = document[key]
    named = dict(_dictionaries(document.get("classifier", {}), ())).get((), {})
    return {f"classifier.{name.removeprefix('module.')}": tensor for name, tensor in named.items()}
