"""What a public checkpoint is: its family, trunk, head and classes, told from the names and shapes of its tensors."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from runtime.errors import CheckpointError
from training.networks.config import Backbone, Head, Trunk
from training.public_checkpoints.families import FAMILIES, Family, FamilyName
from training.public_checkpoints.heads import FoundHead, find_heads, main_head, trained_branches
from training.public_checkpoints.read import read_document
from training.public_checkpoints.unwrap import Unwrapped, unwrap

__all__ = ["INITIAL_CLASSES", "Layout", "backbone_of", "open_checkpoint", "read_layout", "split_ignored"]

INITIAL_CLASSES = 21
"""Classes of PASCAL VOC: such a head belongs to weights to start from."""
_DEPTHS: dict[tuple[tuple[int, ...], bool], Backbone] = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
}
_IGNORED = {
    "fc.": "image classifier",
    "projector": "projection head",
    "proj_head": "projection head",
    "aux_decoders.": "auxiliary decoders",
    "auxiliary_head.": "auxiliary head",
    "target_": "target branch",
    "slow_net.": "teacher",
    "ema_model.": "teacher",
    "imnet_model.": "feature reference",
    "running_conf": "training state",
    "slow_init": "training state",
}
"""What may be left out, by how its name starts, and what it is."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A checkpoint understood: everything but the input convention, which no weight tells."""

    path: Path
    family_name: FamilyName
    wrapper: str
    backbone: Backbone
    has_deep_stem: bool
    head: FoundHead
    head_form: Head
    branches: int
    evidence: str
    """Why so many branches."""
    tensors: dict[str, Tensor]
    """What the network is made of, named as in the file below its wrapper."""
    dropped: dict[str, str]
    """Tensors of the file that are not used, and what they are."""

    @property
    def family(self) -> Family:
        """Whose file this is."""
        return FAMILIES[self.family_name]

    @property
    def trunk(self) -> Trunk:
        """The form the family trains; torchvision's for blocks that have only one."""
        return self.family.trunk if self.backbone in ("resnet50", "resnet101") else "torchvision"

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return self.head.num_classes

    def keeping(self, branches: int) -> "Layout":
        """The same checkpoint of whose summed head only the first branches are used."""
        tensors, dropped = dict(self.tensors), dict(self.dropped)
        for branch in range(branches, 4 if self.head_form == "sum" else 0):
            dropped |= _take(tensors, f"{self.head.name}{branch}.", "unused branch")
        return replace(self, tensors=tensors, dropped=dropped)

    def dropped_by_reason(self) -> dict[str, int]:
        """How many tensors are left out, by what they are."""
        reasons = list(self.dropped.values())
        return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def open_checkpoint(path: Path) -> Unwrapped:
    """Read a file and find the network in it.

    Raises:
        CheckpointError: the file cannot be read without running code, or holds no single ResNet.
    """
    return unwrap(read_document(path), path)


def read_layout(path: Path) -> Layout:
    """Understand a checkpoint.

    Raises:
        CheckpointError: the file cannot be read, or is no DeepLabV2 on a ResNet in a known form.
    """
    opened = open_checkpoint(path)
    tensors, dropped = split_ignored(opened)
    backbone, has_deep_stem = backbone_of(tensors, path), "stem.0.weight" in tensors
    deep, mid = (_width(tensors, stage, path) for stage in ("layer4", "layer3"))
    heads = find_heads(tensors, path)
    head = main_head(heads, deep, mid, path)
    _require_known_form(head, has_deep_stem, path)
    branches, evidence = (4, "five, as in ProDA") if head.is_module2 else trained_branches(head, tensors)
    family_name = _family(_Facts(opened, head, sum(h.in_channels == deep for h in heads), branches))
    head_form = _head_form(head, tensors)
    for start, reason in _unused(head, heads, deep, head_form):
        dropped |= _take(tensors, start, reason)
    return Layout(
        path=path,
        family_name=family_name,
        wrapper=opened.wrapper,
        backbone=backbone,
        has_deep_stem=has_deep_stem,
        head=head,
        head_form=head_form,
        branches=branches,
        evidence=evidence,
        tensors=tensors,
        dropped=dropped,
    )


def _require_known_form(head: FoundHead, has_deep_stem: bool, path: Path) -> None:
    """Refuse what has the right names in a combination nobody is known to have trained.

    Raises:
        CheckpointError: the number of branches, or the stem, does not go with the head.
    """
    is_mmseg = head.name.endswith("aspp_modules.")
    if head.num_branches not in ((5,) if head.is_module2 else (2, 4)) or has_deep_stem != is_mmseg:
        raise CheckpointError(
            f"checkpoint {path}: {head.num_branches} branches named {head.name!r} on a "
            f"{'deep' if has_deep_stem else '7x7'} stem are in no known form; use model.kind factory with a network "
            "of your own"
        )


def _head_form(head: FoundHead, tensors: dict[str, Tensor]) -> Head:
    if not head.is_module2:
        return "sum"
    # LDBE builds this layer too and never runs it; its head is layer6.
    return "module2_bn" if head.base == "layer5." and "bn_pretrain.weight" in tensors else "module2"


def _unused(head: FoundHead, heads: list[FoundHead], deep: int, head_form: Head) -> Iterator[tuple[str, str]]:
    """How the names of tensors start that the network does not use, and what they are."""
    for other in heads:
        if other != head:
            yield other.base, "unused head" if other.in_channels == deep else "auxiliary head"
    if head_form != "module2_bn":
        yield "bn_pretrain.", "unused batch norm"


def split_ignored(opened: Unwrapped) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that count, and those known not to, each with what it is."""
    tensors = opened.tensors | opened.beside
    dropped: dict[str, str] = {}
    for start, reason in _IGNORED.items():
        dropped |= _take(tensors, start, reason)
    return tensors, dropped


def backbone_of(tensors: dict[str, Any], path: Path) -> Backbone:
    """Depth of the trunk, by its blocks.

    Raises:
        CheckpointError: there is no such ResNet.
    """
    counts = tuple(
        1 + max((int(name.split(".")[1]) for name in tensors if name.startswith(f"{stage}.")), default=-1)
        for stage in ("layer1", "layer2", "layer3", "layer4")
    )
    backbone = _DEPTHS.get((counts, "layer1.0.conv3.weight" in tensors))
    if backbone is None:
        raise CheckpointError(
            f"checkpoint {path}: a ResNet of {counts} blocks is not supported; ResNet-18, 34, 50 and 101 are"
        )
    return backbone


@dataclass(frozen=True, slots=True)
class _Facts:
    opened: Unwrapped
    head: FoundHead
    num_deep_heads: int
    branches: int


def _family(facts: _Facts) -> FamilyName:
    """The family whose files look so; where several do, they were trained in the same form."""
    opened, head, is_halved = facts.opened, facts.head, facts.branches == 2
    names = [*opened.tensors, *opened.beside]
    rules: list[tuple[bool, FamilyName]] = [
        (head.name.endswith("aspp_modules."), "mmseg"),
        (opened.dictionary[-1:] == ("feature_extractor",), "fada"),
        (head.is_module2, "proda" if head.base == "layer5." else "ldbe"),
        (head.num_classes == INITIAL_CLASSES, "initial"),
        (_has(names, "target_") or facts.num_deep_heads > 1, "bicl"),
        ("seg_model." in opened.prefix, "ur"),
        (_has(names, "projector"), "hcl"),
        (opened.prefix.startswith("backbone."), "sac"),
        (head.base == "layer5.", "single_level" if is_halved else "crst"),
        (bool(opened.dictionary), "maxsquare" if is_halved else "iapc"),
    ]
    for applies, name in rules:
        if applies:
            return name
    return "adaptsegnet_multi" if is_halved else "advent"


def _has(names: list[str], start: str) -> bool:
    return any(name.startswith(start) for name in names)


def _width(tensors: dict[str, Tensor], stage: str, path: Path) -> int:
    """Channels of a stage, by the last convolution of its first block."""
    for convolution in ("conv3", "conv2"):
        if (weight := tensors.get(f"{stage}.0.{convolution}.weight")) is not None:
            return weight.shape[0]
    raise CheckpointError(f"checkpoint {path} lacks {stage}.0.conv3.weight or conv2.weight")


def _take(tensors: dict[str, Tensor], start: str, reason: str) -> dict[str, str]:
    """Remove the tensors whose names start so; give their names with the reason."""
    names = [name for name in tensors if name.startswith(start)]
    for name in names:
        del tensors[name]
    return dict.fromkeys(names, reason)
