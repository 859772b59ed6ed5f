"""A foreign network behind the contract: which of its outputs is taken, and that it stays the network it was."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from training.device import Compute
from training.networks.wrapped import WrappedNetwork

IMAGE = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


class Outputs(NamedTuple):
    aux: Tensor
    logits: Tensor


class Answering(nn.Module):
    """Returns what `shape` makes of its logits, half of them as an auxiliary output."""

    def __init__(self, shape: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.shape = shape
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 6, 3, padding=1)])
        self.pyramid = Pyramid()
        self.tokens = nn.Flatten(2)
        self.head = nn.Conv2d(6, 5, 1)
        self.unused = nn.Conv2d(6, 5, 1)

    def forward(self, image: Tensor) -> Any:
        features = self.pyramid(self.stages[0](image), self.stages)
        self.tokens(features[-1])
        return self.shape(self.head(features[-1]))


class Pyramid(nn.Module):
    """A list of maps, as encoders give it, and something that is none."""

    def forward(self, image: Tensor, stages: nn.ModuleList) -> list[Any]:
        return [len(stages), image, stages[1](image)]


def wrap(shape: Callable[[Tensor], Any] = lambda logits: logits, **settings: Any) -> WrappedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WrappedNetwork(Answering(shape), **{"feature_layer": "stages.1", **settings})


def num_hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


# Logits

OUTPUTS: dict[str, tuple[Callable[[Tensor], Any], str | int | None]] = {
    "tensor": (lambda z: z, None),
    "tensor, where a key is given": (lambda z: z, "main"),
    "dict with out": (lambda z: {"aux": -z, "logits": -z, "out": z}, None),
    "dict with logits": (lambda z: {"aux": -z, "logits": z}, None),
    "dict, its first": (lambda z: OrderedDict(main=z, aux=-z), None),
    "dict by key": (lambda z: {"out": -z, "main": z}, "main"),
    "dict by place": (lambda z: {"out": -z, "main": z}, 1),
    "tuple, its first": (lambda z: (z, -z), None),
    "list by place": (lambda z: [-z, z], -1),
    "attribute": (lambda z: Outputs(-z, z), None),
    "attribute by name": (lambda z: Outputs(z, -z), "aux"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_logits_are_found_in_whatever_the_network_returns(name: str) -> None:
    shape, key = OUTPUTS[name]
    expected = wrap()(IMAGE).logits
    network = wrap(shape, logits=key)
    assert torch.equal(network(IMAGE).logits, expected)
    assert torch.equal(network.logits(IMAGE), expected)


@pytest.mark.parametrize(
    ("shape", "key", "message"),
    [
        (lambda z: {"main": z, "aux": z}, "mian", "a dict of 'main', 'aux' and no tensor under model.logits='mian'"),
        (lambda z: (z, z), 2, "a tuple of Tensor, Tensor and no tensor under model.logits=2"),
        (lambda z: [], None, "a list of nothing and no tensor; set model.logits"),
        (lambda z: {"out": [z]}, None, "a dict of 'out' and no tensor; set model.logits"),
        (lambda z: 3.0, None, "a float and no tensor; set model.logits"),
        (lambda z: z.flatten(1), None, r"logits have shape \(2, 120\), expected \(N, C, h, w\)"),
    ],
)
def test_output_without_logits_is_described(shape: Callable[[Tensor], Any], key: str | int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrap(shape, logits=key)(IMAGE)


# Features


def test_features_are_what_the_named_layer_returned() -> None:
    network = wrap()
    stages = network.inner.get_submodule("stages")
    assert isinstance(stages, nn.ModuleList)
    output = network(IMAGE)
    assert torch.equal(output.features, stages[1](stages[0](IMAGE)))
    assert output.features.requires_grad
    assert (tuple(output.logits.shape), tuple(output.features.shape)) == ((2, 5, 4, 6), (2, 6, 4, 6))


def test_last_of_several_maps_is_taken() -> None:
    assert torch.equal(wrap(feature_layer="pyramid")(IMAGE).features, wrap()(IMAGE).features)


def test_layer_called_twice_gives_its_last_output() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.layer(self.layer(image))
            return logits

    output = WrappedNetwork(Twice(), feature_layer="layer")(IMAGE)
    assert torch.equal(output.features, output.logits)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("tokens", r"model.feature_layer='tokens' returns shape \(2, 6, 24\), expected a map \(N, D, h, w\)"),
        ("unused", "model.feature_layer='unused' takes no part in computing the network's output"),
    ],
)
def test_layer_without_a_map_is_refused(layer: str, message: str) -> None:
    network = wrap(feature_layer=layer)
    with pytest.raises(ConfigError, match=message):
        network(IMAGE)
    assert num_hooks(network) == 0


@pytest.mark.parametrize("key", ["feature_layer", "head_layer"])
def test_unknown_layer_is_refused_with_the_nearest_names(key: str) -> None:
    def named(name: str) -> WrappedNetwork:
        if key == "feature_layer":
            return WrappedNetwork(Answering(), feature_layer=name)
        return WrappedNetwork(Answering(), feature_layer="head", head_layer=name)

    with pytest.raises(ConfigError, match=rf"model.{key}='stage.1' is no module of Answering; .*stages.1, stages.0"):
        named("stage.1")
    with pytest.raises(ConfigError, match=r"named like stages, pyramid, tokens, head, unused$"):
        named("zzz")


# Still the network it was


def fail(logits: Tensor) -> Tensor:
    raise RuntimeError("broken")


def test_no_hook_stays_behind() -> None:
    network = wrap()
    network(IMAGE)
    assert num_hooks(network) == 0
    broken = wrap(fail)
    with pytest.raises(RuntimeError, match="broken"):
        broken(IMAGE)
    assert num_hooks(broken) == 0


def test_logits_alone_need_no_hook() -> None:
    network = wrap()
    hooked: list[int] = []
    network.inner.get_submodule("head").register_forward_hook(lambda *_: hooked.append(num_hooks(network)))
    network.logits(IMAGE)
    network(IMAGE)
    assert hooked == [1, 2]


def test_state_is_that_of_the_inner_network() -> None:
    network = wrap()
    assert list(network.state_dict()) == [f"inner.{key}" for key in network.inner.state_dict()]


def test_copy_computes_the_same_on_its_own_weights() -> None:
    network = wrap()
    twin = copy.deepcopy(network)
    expected = network(IMAGE)
    with torch.no_grad():
        network.get_parameter("inner.stages.1.weight").zero_()
    for found, kept in zip(twin(IMAGE), expected, strict=True):
        assert torch.equal(found, kept)


def test_settings_are_those_of_the_config() -> None:
    plain, told = wrap(), wrap(head_layer="head", align_corners=True, size_multiple=4, channels_last=True)
    assert (plain.head, plain.align_corners, plain.size_multiple, plain.channels_last) == ("", False, 1, False)
    assert (told.head, told.align_corners, told.size_multiple, told.channels_last) == ("inner.head", True, 4, True)


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_layout_is_what_the_network_can_take(compute: Compute, channels_last: bool) -> None:
    """Frames arrive in channels-last order whatever the network is."""
    network = compute.place(wrap(channels_last=channels_last))
    seen: list[Tensor] = []
    network.inner.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(IMAGE.contiguous(memory_format=torch.channels_last))
    weight = network.get_parameter("inner.stages.1.weight")
    for tensor in (seen[0], weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last) == channels_last
        assert tensor.is_contiguous() != channels_last


class Logits(nn.Module):
    def __init__(self, network: WrappedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.logits(image)


def test_logits_of_a_dict_are_traced_and_exported(tmp_path: Path) -> None:
    network = Logits(wrap(lambda z: {"out": z, "aux": -z})).eval()
    expected = network(IMAGE)
    program = torch.export.export(network, (IMAGE,))
    torch.testing.assert_close(program.module()(IMAGE), expected)
    torch.onnx.export(network, (IMAGE,), tmp_path / "a.onnx", dynamo=True, verbose=False)
    assert (tmp_path / "a.onnx").stat().st_size > 0
