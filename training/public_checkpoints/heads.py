"""Which classifiers a checkpoint holds, which of them is the main one, and how much of it was trained."""

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from runtime.errors import CheckpointError

__all__ = ["FoundHead", "find_heads", "main_head", "trained_branches"]

_BRANCH = re.compile(r"(?P<name>.*?(?:conv2d_list|aspp_modules)\.)(?P<branch>\d+)\.(?P<rest>.+)")
INITIAL_STD, STD_TOLERANCE, MEAN_TOLERANCE = 0.01, 0.0001, 0.0001


@dataclass(frozen=True, slots=True)
class FoundHead:
    """A classifier: `name` is what its branches' names start with, such as `layer6.conv2d_list.`."""

    name: str
    is_module2: bool
    in_channels: int
    num_classes: int
    num_branches: int

    @property
    def base(self) -> str:
        """What the names of all its tensors start with."""
        return self.name.removesuffix("conv2d_list.").removesuffix("aspp_modules.")

    @property
    def kernel_name(self) -> str:
        """What follows a branch's number in the name of its convolution, up to `weight` or `bias`."""
        return "conv." if self.name.endswith("aspp_modules.") else ""


def find_heads(tensors: dict[str, Tensor], path: Path) -> list[FoundHead]:
    """All classifiers made of dilated branches, by name.

    Raises:
        CheckpointError: one lacks the tensors that tell its size.
    """
    branches: dict[str, dict[int, set[str]]] = {}
    for name in tensors:
        if found := _BRANCH.fullmatch(name):
            branches.setdefault(found["name"], {}).setdefault(int(found["branch"]), set()).add(found["rest"])
    return [_describe(name, branches[name], tensors, path) for name in sorted(branches)]


def main_head(heads: list[FoundHead], deep: int, mid: int, path: Path) -> FoundHead:
    """The head that reads the trunk's last stage; the width of its convolutions tells, as names differ by project.

    Args:
        heads: as found.
        deep: channels of layer4.
        mid: channels of layer3, which auxiliary heads read.
        path: for the message.

    Raises:
        CheckpointError: no head reads the last stage.
    """
    # BiCL keeps a second head of the same width that it never trains; the first is the one in use.
    main = [head for head in heads if head.in_channels == deep]
    if main:
        return main[0]
    if any(head.in_channels == deep + mid for head in heads):
        raise CheckpointError(
            f"checkpoint {path} has MRNet's head, which reads layer3 and layer4 together ({deep + mid} channels); "
            "that form is not supported; use model.kind factory with a network of your own"
        )
    found = ", ".join(f"{head.base.rstrip('.')} reads {head.in_channels} channels" for head in heads)
    raise CheckpointError(
        f"checkpoint {path} has a ResNet but no DeepLabV2 classifier on its last stage of {deep} channels "
        f"({found or 'no conv2d_list or aspp_modules in it'}). A bare trunk can start training "
        "(source.kind train, start_from), it cannot be adapted"
    )


def trained_branches(head: FoundHead, tensors: dict[str, Tensor]) -> tuple[int, str]:
    """How many branches of a summed head were trained, and the evidence.

    In code that descends from AdaptSegNet a `return` inside a loop leaves the third and fourth branch out. They get
    no gradient and keep their initial noise of standard deviation 0.01 exactly; summed in, they add that noise to
    every logit.
    """
    if head.num_branches < 4:
        return head.num_branches, f"the file has {head.num_branches}"
    stds, is_noise = [], []
    for branch in range(4):
        weight = tensors[f"{head.name}{branch}.{head.kernel_name}weight"].float()
        std, mean = float(weight.std()), float(weight.mean())
        stds.append(f"{std:.5f}")
        is_noise.append(abs(std - INITIAL_STD) < STD_TOLERANCE and abs(mean) < MEAN_TOLERANCE)
    told = f"standard deviation of their weights: {', '.join(stds)}"
    if is_noise == [False, False, True, True]:
        return 2, f"the last two of four are initial noise; {told}"
    if all(is_noise):
        return 4, f"none of four looks trained; {told}"
    return 4, f"all four are trained; {told}"


def _describe(name: str, branches: dict[int, set[str]], tensors: dict[str, Tensor], path: Path) -> FoundHead:
    is_module2 = any("0.weight" in rest for rest in branches.values())
    kernel = "0.weight" if is_module2 else "conv.weight" if name.endswith("aspp_modules.") else "weight"
    base = name.removesuffix("conv2d_list.").removesuffix("aspp_modules.")
    last = f"{base}head.1.weight" if is_module2 else f"{name}0.{kernel}"
    needed = [last, *(f"{name}{branch}.{kernel}" for branch in range(max(branches) + 1))]
    if missing := [tensor for tensor in needed if tensor not in tensors or tensors[tensor].dim() != 4]:
        raise CheckpointError(f"checkpoint {path} lacks tensors of its head: {', '.join(missing)}")
    return FoundHead(
        name=name,
        is_module2=is_module2,
        in_channels=tensors[f"{name}0.{kernel}"].shape[1],
        num_classes=tensors[last].shape[0],
        num_branches=max(branches) + 1,
    )
