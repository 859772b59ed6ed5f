"""The families of published DeepLabV2 checkpoints: what their files look like and what they were trained with.

Trunk and input convention are not in the weights. They are known from each project's code, so recognising the project
by the layout of its file is what makes a file usable without reading that code.
"""

from dataclasses import dataclass
from typing import Literal

from training.networks.config import InputName, Trunk

__all__ = ["FAMILIES", "Family", "FamilyName"]

FamilyName = Literal[
    "initial",
    "adaptsegnet_multi",
    "single_level",
    "crst",
    "sac",
    "advent",
    "maxsquare",
    "iapc",
    "hcl",
    "ur",
    "bicl",
    "fada",
    "mmseg",
    "proda",
    "ldbe",
]


@dataclass(frozen=True, slots=True)
class Family:
    """`projects`: whose files these are; `trunk` and `input`: what their code trains with."""

    projects: str
    trunk: Trunk
    input: InputName


FAMILIES: dict[FamilyName, Family] = {
    "initial": Family("ImageNet or COCO weights to start from (AdaptSegNet, AdvEnt)", "caffe", "bgr_caffe"),
    "adaptsegnet_multi": Family("AdaptSegNet, multi-level", "caffe", "bgr_caffe"),
    "single_level": Family("AdaptSegNet single-level, CROTS", "caffe", "bgr_caffe"),
    "crst": Family("CRST", "caffe", "bgr_std"),
    "sac": Family("SAC", "caffe", "rgb_imagenet"),
    "advent": Family("AdvEnt, HCL source, adapted IAPC", "caffe", "bgr_caffe"),
    "maxsquare": Family("MaxSquare, UR source", "caffe", "bgr_caffe"),
    "iapc": Family("IAPC source", "caffe", "bgr_caffe"),
    "hcl": Family("HCL", "caffe", "bgr_caffe"),
    "ur": Family("UR", "caffe", "bgr_caffe"),
    "bicl": Family("BiCL, Cal-SFDA", "caffe", "bgr_caffe"),
    "fada": Family("FADA, DSU, DT-ST, SND", "contracted", "rgb_imagenet"),
    "mmseg": Family("mmsegmentation: DAFormer, SePiCo, ATP", "deep_stem", "rgb_imagenet"),
    "proda": Family("ProDA", "caffe", "rgb_unit"),
    "ldbe": Family("LDBE", "caffe", "bgr_caffe"),
}
