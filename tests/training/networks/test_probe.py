"""A network that a run could not use is refused before it starts, and one it can use is left as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import ConfigError
from runtime.labels import LABEL_SPACES
from training.checkpoint import NetworkSpec
from training.networks.config import DeepLabV2Config, FactoryConfig, ModelConfig, SmpConfig
from training.networks.network import SegmentationNetwork
from training.networks.probe import require_usable

HW = (64, 96)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def described(model: ModelConfig) -> tuple[SegmentationNetwork, NetworkSpec]:
    spec = NetworkSpec(model=model, label_space="camvid11")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spec.build(), spec


def own(name: str, **settings: Any) -> tuple[SegmentationNetwork, NetworkSpec]:
    values = {"kind": "factory", "factory": f"my_networks:{name}", "feature_layer": "encoder", "network_hw": HW}
    return described(FactoryConfig.model_validate({**values, **settings}))


USABLE: dict[str, ModelConfig] = {
    "deeplab": DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", network_hw=HW),
    "segformer": SmpConfig(kind="smp", architecture="segformer", encoder="mit_b0", network_hw=HW),
    "own": FactoryConfig(kind="factory", factory="my_networks:Small", feature_layer="encoder", network_hw=HW),
}


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("mode", [True, False])
def test_usable_network_is_left_as_it_was(name: str, mode: bool) -> None:
    network, spec = described(USABLE[name])
    network.train(mode)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    require_usable(network, spec, (32, 64), 2)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])] == []
    assert all(module.training == mode for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


FIXED = {"arguments": {"height": 64, "width": 96}, "feature_layer": "patches"}
NO_MULTIPLE = r"adaptation.views.crop_hw: the network cannot compute on 2 image\(s\) of \(40, 60\)"


@pytest.mark.parametrize(
    ("name", "settings", "crop_hw", "message"),
    [
        ("Small", {"size_multiple": 16}, (40, 64), "multiples of 16, got .*; use .32, 64."),
        (
            "Small",
            {"size_multiple": 12},
            (24, 36),
            "model.network_hw: the network takes .* multiples of 12, got .64, 96",
        ),
        ("Strided", {"feature_layer": "skip"}, (40, 60), f"{NO_MULTIPLE} .RuntimeError.*it takes .32, 64.: use multip"),
        ("FixedSize", FIXED, (32, 64), r"views.crop_hw: .* of \(32, 64\) .*it takes no size near this one either"),
        ("FixedSize", {**FIXED, "network_hw": (96, 96)}, (64, 96), r"model.network_hw: .*1 image\(s\) of \(96, 96\)"),
        ("frozen", {}, (32, 64), "the network has no trainable parameter"),
        ("frozen_encoder", {}, (32, 64), "the network's features depend on no trainable parameter"),
        ("endless", {}, (32, 64), "the network's logits are not finite"),
        ("AlwaysDropping", {}, (32, 64), "other logits for the same image in evaluation mode"),
    ],
)
def test_network_that_the_run_cannot_use_is_refused(
    name: str, settings: dict[str, Any], crop_hw: tuple[int, int], message: str
) -> None:
    network, spec = own(name, **settings)
    with pytest.raises(ConfigError, match=message):
        require_usable(network, spec, crop_hw, 2)


def test_more_sizes_are_named_by_their_key() -> None:
    network, spec = own("FixedSize", **FIXED)
    require_usable(network, spec, HW, 2)
    with pytest.raises(ConfigError, match=r"^pseudo_labels.scales, 1.25: the network cannot compute on 1 image"):
        require_usable(network, spec, HW, 2, frame_sizes={"pseudo_labels.scales, 1.25": (80, 120)})


def test_other_number_of_classes_is_refused() -> None:
    network, spec = own("Small")
    other = spec.model_copy(update={"label_space": LABEL_SPACES["cityscapes19"]})
    with pytest.raises(ConfigError, match="have 11 channels, label_space=cityscapes19 has 19 classes"):
        require_usable(network, other, (32, 64), 2)


def full_memory(image: Tensor) -> None:
    raise torch.OutOfMemoryError("tried to allocate 80 GiB")


def unfinished(image: Tensor) -> None:
    raise AttributeError("no such attribute")


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (full_memory, ConfigError, r"has too little memory for the network on 6 image\(s\) of \(32, 64\); lower batch"),
        (unfinished, AttributeError, "no such attribute"),
    ],
)
def test_what_is_not_a_matter_of_size_is_not_called_one(
    act: Callable[[Tensor], None], error: type[Exception], message: str
) -> None:
    network, spec = own("Small")
    encoder = network.get_submodule("inner.encoder")
    assert isinstance(encoder, nn.Sequential)
    encoder.register_forward_pre_hook(lambda module, inputs: act(inputs[0]))
    with pytest.raises(error, match=message):
        require_usable(network, spec, (32, 64), 6)
