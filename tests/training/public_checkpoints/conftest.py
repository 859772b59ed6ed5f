"""Synthetic checkpoints in the layouts of published ones, and a network written down a second time to check against."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = dict[str, Tensor]
Save = Callable[[Any], Path]
MakeDocument = Callable[..., Any]
ReferenceLogits = Callable[..., Tensor]

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
WIDTHS = (64, 128, 256, 512)


class Draw:
    """Random tensors by shape; constant ones, of one number in the file, where only names and shapes matter."""

    def __init__(self, *, is_constant: bool) -> None:
        self._generator = torch.Generator().manual_seed(0)
        self._is_constant = is_constant
        self._count = 0

    def __call__(self, *shape: int, std: float = 1.0, mean: float = 0.0) -> Tensor:
        if not self._is_constant:
            return torch.randn(shape, generator=self._generator) * std + mean
        self._count += 1
        return torch.full((1,) * len(shape), self._count * 1e-5).expand(shape)

    def noise(self, *shape: int) -> Tensor:
        """Weights as a fresh classifier has them, whatever else is constant."""
        return torch.randn(shape, generator=self._generator) * 0.01


def norm(draw: Draw, name: str, channels: int, *, scale: float = 1.0, counter: bool = True) -> Tensors:
    tensors = {
        f"{name}.weight": draw(channels, std=0.1 * scale, mean=scale),
        f"{name}.bias": draw(channels, std=0.1),
        f"{name}.running_mean": draw(channels, std=0.1),
        f"{name}.running_var": draw(channels, std=0.1).abs() + 0.8,
    }
    return tensors | ({f"{name}.num_batches_tracked": torch.tensor(7)} if counter else {})


def conv(draw: Draw, name: str, out: int, into: int, kernel: int) -> Tensors:
    return {f"{name}.weight": draw(out, into, kernel, kernel, std=(2.0 / (into * kernel**2)) ** 0.5)}


def trunk_tensors(draw: Draw, backbone: str = "resnet50", *, deep_stem: bool = False, counter: bool = True) -> Tensors:
    if deep_stem:
        tensors: Tensors = {}
        for number, (out, into) in {0: (32, 3), 3: (32, 32), 6: (64, 32)}.items():
            tensors |= conv(draw, f"stem.{number}", out, into, 3)
            tensors |= norm(draw, f"stem.{number + 1}", out, counter=counter)
    else:
        tensors = conv(draw, "conv1", 64, 3, 7) | norm(draw, "bn1", 64, counter=counter)
    into = 64
    for stage, (count, width) in enumerate(zip(BLOCKS[backbone], WIDTHS, strict=True), start=1):
        for number in range(count):
            name = f"layer{stage}.{number}"
            sizes = ((width, into, 1), (width, width, 3), (4 * width, width, 1))
            for index, (out, channels, kernel) in enumerate(sizes, start=1):
                tensors |= conv(draw, f"{name}.conv{index}", out, channels, kernel)
                scale = 0.3 if index == 3 else 1.0
                tensors |= norm(draw, f"{name}.bn{index}", out, scale=scale, counter=counter)
            if number == 0:
                tensors |= conv(draw, f"{name}.downsample.0", 4 * width, into, 1)
                tensors |= norm(draw, f"{name}.downsample.1", 4 * width, counter=counter)
            into = 4 * width
    return tensors


def sum_head(draw: Draw, name: str, into: int = 2048, classes: int = 19, trained: int = 4, count: int = 4) -> Tensors:
    """A head of `count` branches, of which those after `trained` are as they were initialised."""
    tensors = {}
    for branch in range(count):
        shape = (classes, into, 3, 3)
        weight = draw(*shape, std=0.02) if branch < trained else draw.noise(*shape)
        tensors |= {f"{name}.{branch}.weight": weight, f"{name}.{branch}.bias": draw(classes, std=0.1)}
    return tensors


def module2_head(draw: Draw, name: str, into: int = 2048, classes: int = 19) -> Tensors:
    tensors: Tensors = {}
    for branch in range(5):
        tensors |= conv(draw, f"{name}.conv2d_list.{branch}.0", 256, into, 1 if branch == 0 else 3)
        tensors |= {f"{name}.conv2d_list.{branch}.0.bias": draw(256, std=0.1)}
        tensors |= affine(draw, f"{name}.conv2d_list.{branch}.1", 256)
    tensors |= {
        f"{name}.bottleneck.0.se.0.weight": draw(80, 1280, std=0.05),
        f"{name}.bottleneck.0.se.0.bias": draw(80),
    }
    tensors |= {
        f"{name}.bottleneck.0.se.2.weight": draw(1280, 80, std=0.2),
        f"{name}.bottleneck.0.se.2.bias": draw(1280),
    }
    tensors |= conv(draw, f"{name}.bottleneck.1", 256, 1280, 3) | {f"{name}.bottleneck.1.bias": draw(256, std=0.1)}
    return tensors | affine(draw, f"{name}.bottleneck.2", 256) | conv(draw, f"{name}.head.1", classes, 256, 1)


def affine(draw: Draw, name: str, channels: int) -> Tensors:
    return {f"{name}.weight": draw(channels, std=0.1, mean=1.0), f"{name}.bias": draw(channels, std=0.1)}


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def build_document(family: str, draw: Draw, backbone: str = "resnet50", classes: int = 19) -> Any:
    """A checkpoint as the projects of a family write it."""
    trunk = trunk_tensors(draw, backbone, deep_stem=family == "mmseg", counter=family not in ("fada", "initial"))

    def head(name: str, **options: Any) -> Tensors:
        return sum_head(draw, f"{name}.conv2d_list", **{"classes": classes, **options})

    aux = {"into": 1024, "trained": 2}
    match family:
        case "initial":
            return under("Scale.", trunk | head("layer5", classes=21))
        case "adaptsegnet_multi":
            return OrderedDict(trunk | head("layer5", **aux) | head("layer6", trained=2))
        case "single_level":
            return trunk | head("layer5", trained=2)
        case "crst":
            return trunk | head("layer5")
        case "sac":
            network = trunk | head("layer5")
            both = under("backbone.model.", network) | under("slow_net.model.", network)
            state = {"running_conf": torch.zeros(19), "slow_init": torch.ones(1)}
            return {"model": both | state, "opt": {"state": {}}, "epoch": 3, "score": 0.4}
        case "advent":
            return trunk | head("layer5", into=1024) | head("layer6")
        case "maxsquare":
            network = under("module.", trunk | head("layer5", **aux) | head("layer6", trained=2))
            optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
            best = {"best_MIou": np.float64(0.369), "epoch": 8, "iteration": 1000}
            return {"state_dict": OrderedDict(network), "optimizer": optimizer, **best}
        case "iapc":
            return {"state_dict": under("module.", trunk | head("layer5", into=1024) | head("layer6"))}
        case "hcl":
            projector = {
                "linear1.weight": draw(2048, 1024),
                "linear1.bias": draw(2048),
                "linear2.weight": draw(128, 2048),
            }
            projector |= norm(draw, "bn1", 2048)
            return trunk | head("layer5", into=1024) | head("layer6") | under("projector_1.", projector)
        case "ur":
            decoders: Tensors = {}
            for number in range(2):
                decoders |= head(f"aux_decoders.decoders.{number}.upsample")
            return under("seg_model.", trunk | head("layer5", **aux) | head("layer6", trained=2)) | decoders
        case "bicl":
            names = [name for name in trunk if name.startswith(("conv1.", "bn1.", "layer1."))]
            target = under("target_", {name: trunk[name] + 1.0 for name in names})
            return trunk | target | head("layer5") | head("layer6", trained=0)
        case "fada":
            classifier = under("module.", sum_head(draw, "conv2d_list", classes=classes))
            backbone_tensors = under("module.backbone.", trunk)
            return {"feature_extractor": backbone_tensors, "classifier": classifier, "iteration": 5}
        case "mmseg":
            aspp = sum_head(draw, "aspp", classes=classes)
            parts = {name: name.split(".") for name in aspp}
            decode = {f"decode_head.aspp_modules.{p[1]}.conv.{p[2]}": aspp[name] for name, p in parts.items()}
            network = under("backbone.", trunk) | decode
            networks = under("model.", network) | under("ema_model.", network)
            return {"meta": {"CLASSES": ("road",), "epoch": 2}, "state_dict": networks, "optimizer": {"state": {}}}
        case "proda":
            network = trunk | module2_head(draw, "layer5", classes=classes) | norm(draw, "bn_pretrain", 2048)
            vectors = {"objective_vectors": torch.zeros(19, 256)}
            return {"ResNet101": {"model_state": network, **vectors}, "iter": 3, "best_iou": np.float64(0.575)}
        case "ldbe":
            heads = module2_head(draw, "layer6", classes=classes) | module2_head(draw, "layer5", into=1024)
            return trunk | heads | norm(draw, "bn_pretrain", 2048)
    raise AssertionError(family)


@pytest.fixture
def make_document() -> MakeDocument:
    """A checkpoint of a family: random, or constant where only names and shapes matter."""

    def make(family: str, *, is_constant: bool = True, **options: Any) -> Any:
        return build_document(family, Draw(is_constant=is_constant), **options)

    return make


@pytest.fixture
def save(tmp_path: Path) -> Iterator[Save]:
    """Writes a checkpoint with torch; the file is deleted at once after the test, since full ones are large."""
    path = tmp_path / "public.pth"

    def write(document: Any) -> Path:
        torch.save(document, path)
        return path

    yield write
    path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def reference_logits() -> ReferenceLogits:
    """The networks of these projects once more, as functions of a file's tensors."""
    return _reference_logits


def _reference_logits(
    tensors: Mapping[str, Tensor], image: Tensor, *, form: str, head: str, branches: int = 4
) -> Tensor:
    """Logits of a ResNet-50 from tensors named as in the file, without its wrapper.

    `form`: caffe, contracted or deep_stem; `head`: what the head's names start with.
    """
    t = tensors
    if form == "deep_stem":
        x = image
        for number, stride in ((0, 2), (3, 1), (6, 1)):
            x = F.relu(
                _norm(F.conv2d(x, t[f"stem.{number}.weight"], stride=stride, padding=1), t, f"stem.{number + 1}")
            )
    else:
        x = F.relu(_norm(F.conv2d(image, t["conv1.weight"], stride=2, padding=3), t, "bn1"))
    x = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=form == "caffe")
    first = {3: 2, 4: 4} if form == "caffe" else {3: 1, 4: 2}
    for stage, count in enumerate(BLOCKS["resnet50"], start=1):
        for number in range(count):
            rate = {1: 1, 2: 1, 3: 2, 4: 4}[stage] if number else first.get(stage, 1)
            stride = 2 if (stage, number) == (2, 0) else 1
            x = _bottleneck(x, t, f"layer{stage}.{number}", form, stride, rate)
    if f"{head}.bottleneck.1.weight" in t:
        return _module2(x, t, head)
    total = torch.zeros(())
    for branch, rate in list(enumerate((6, 12, 18, 24)))[:branches]:
        name = f"{head}.{branch}" + (".conv" if "aspp" in head else "")
        total = total + F.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"], padding=rate, dilation=rate)
    return total


def _bottleneck(x: Tensor, t: Mapping[str, Tensor], name: str, form: str, stride: int, rate: int) -> Tensor:
    on_first, on_second = (stride, 1) if form == "caffe" else (1, stride)
    y = F.relu(_norm(F.conv2d(x, t[f"{name}.conv1.weight"], stride=on_first), t, f"{name}.bn1"))
    y = F.conv2d(y, t[f"{name}.conv2.weight"], stride=on_second, padding=rate, dilation=rate)
    y = _norm(F.conv2d(F.relu(_norm(y, t, f"{name}.bn2")), t[f"{name}.conv3.weight"]), t, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in t:
        x = _norm(F.conv2d(x, t[f"{name}.downsample.0.weight"], stride=stride), t, f"{name}.downsample.1")
    return F.relu(x + y)


def _module2(x: Tensor, t: Mapping[str, Tensor], head: str) -> Tensor:
    if head == "layer5":
        x = _norm(x, t, "bn_pretrain")
    maps = []
    for branch, rate in enumerate((0, 6, 12, 18, 24)):
        name = f"{head}.conv2d_list.{branch}"
        y = F.conv2d(x, t[f"{name}.0.weight"], t[f"{name}.0.bias"], padding=rate, dilation=max(rate, 1))
        maps.append(F.relu(F.group_norm(y, 32, t[f"{name}.1.weight"], t[f"{name}.1.bias"])))
    y = torch.cat(maps, dim=1)
    gate = F.relu(F.linear(y.mean((2, 3)), t[f"{head}.bottleneck.0.se.0.weight"], t[f"{head}.bottleneck.0.se.0.bias"]))
    gate = F.linear(gate, t[f"{head}.bottleneck.0.se.2.weight"], t[f"{head}.bottleneck.0.se.2.bias"]).sigmoid()
    y = F.conv2d(
        y * gate[:, :, None, None], t[f"{head}.bottleneck.1.weight"], t[f"{head}.bottleneck.1.bias"], padding=1
    )
    y = F.group_norm(y, 32, t[f"{head}.bottleneck.2.weight"], t[f"{head}.bottleneck.2.bias"])
    return F.conv2d(y, t[f"{head}.head.1.weight"])


def _norm(x: Tensor, t: Mapping[str, Tensor], name: str) -> Tensor:
    scale = t[f"{name}.weight"] / (t[f"{name}.running_var"] + 1e-5).sqrt()
    shift = t[f"{name}.bias"] - t[f"{name}.running_mean"] * scale
    return x * scale[:, None, None] + shift[:, None, None]
