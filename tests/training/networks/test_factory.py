"""Networks by the name of a function or of an architecture: found, built, or refused with what to correct."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from runtime.errors import ConfigError
from training.networks.build import build_network
from training.networks.config import FactoryConfig, SmpConfig
from training.networks.wrapped import WrappedNetwork

HW = (64, 96)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def factory(name: str = "small", **settings: Any) -> FactoryConfig:
    values = {"kind": "factory", "factory": f"my_networks:{name}", "feature_layer": "encoder", "network_hw": HW}
    return FactoryConfig.model_validate({**values, **settings})


def smp(architecture: str = "segformer", encoder: str = "mit_b0", **settings: Any) -> SmpConfig:
    values = {"kind": "smp", "architecture": architecture, "encoder": encoder, "network_hw": HW}
    return SmpConfig.model_validate({**values, **settings})


# Factory


@pytest.mark.parametrize("name", ["small", "Small"])
def test_function_or_class_is_called_with_classes_and_arguments(name: str) -> None:
    network = build_network(factory(name, arguments={"width": 8}, head_layer="classifier", size_multiple=4), 5)
    assert isinstance(network, WrappedNetwork)
    assert tuple(network.get_parameter("inner.classifier.weight").shape) == (5, 8, 1, 1)
    assert (network.head, network.size_multiple, network.channels_last) == ("inner.classifier", 4, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factory": "no_such:small"}, "there is no module 'no_such'; run the command in the folder that holds it"),
        ({"factory": "my_networks.no:small"}, "there is no module 'my_networks.no'"),
        ({"factory": "my_networks:smal"}, "my_networks has no 'smal'; did you mean 'small'?"),
        ({"factory": "my_networks:NOT_A_FUNCTION"}, "NOT_A_FUNCTION is a int; name a function or class"),
        (
            {"arguments": {"depth": 3}},
            r"arguments=\{'depth': 3\} failed with TypeError: .*'depth'.*correct model.argum",
        ),
        ({"factory": "my_networks:fails"}, r"KeyError: 'no weights for 5 classes' \(.*my_networks.py:\d+\)"),
        ({"factory": "my_networks:returns_a_number"}, "returned int, expected a torch.nn.Module"),
        ({"feature_layer": "encodr"}, "model.feature_layer='encodr' is no module of Small; .* encoder"),
        ({"head_layer": "clasifier"}, "model.head_layer='clasifier' is no module of Small; .* classifier"),
    ],
)
def test_factory_that_cannot_be_used_is_told_apart(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(factory(**settings), 5)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_dependency", "broken needs no_such_dependency, which is not installed"),
        ("import sys\nraise ValueError('half written')", "importing broken failed with ValueError: half written"),
        ("def f(:", "importing broken failed with SyntaxError"),
    ],
)
def test_module_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=message):
        build_network(factory(factory="broken:f"), 5)


def test_classes_are_not_an_argument() -> None:
    with pytest.raises(ValidationError, match="num_classes is not an argument to give: it comes from label_space"):
        factory(arguments={"num_classes": 5})


# segmentation-models-pytorch


@pytest.mark.parametrize(
    ("architecture", "encoder", "settings", "multiple", "logits", "features"),
    [
        ("segformer", "mit_b0", {}, 32, (64, 96), (256, 16, 24)),
        ("segformer", "mit_b0", {"options": {"upsampling": 1}}, 32, (16, 24), (256, 16, 24)),
        ("Unet", "resnet18", {"feature_layer": "encoder"}, 1, (64, 96), (512, 2, 3)),
        ("fpn", "tu-mobilenetv3_small_050", {"feature_layer": "decoder"}, 32, (64, 96), (128, 16, 24)),
    ],
)
def test_network_is_made_by_its_names(
    architecture: str,
    encoder: str,
    settings: dict[str, Any],
    multiple: int,
    logits: tuple[int, ...],
    features: tuple[int, ...],
) -> None:
    network = build_network(smp(architecture, encoder, **settings), 5).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 3, *HW))
    assert (network.head, network.size_multiple) == ("inner.segmentation_head", multiple)
    assert tuple(output.logits.shape) == (1, 5, *logits)
    assert tuple(output.features.shape) == (1, *features)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (smp("segfomer"), "model.architecture='segfomer' is unknown to .*; it knows deeplabv3, .*, segformer, unet"),
        (smp(encoder="mit_b9"), "model.encoder='mit_b9' is unknown to .*; of its .* encoders the nearest are .*mit_b0"),
        (smp(encoder="tu-resnet19"), "model.encoder='tu-resnet19' is unknown to timm .* nearest are .*resnet18"),
        (
            smp(options={"upsamplig": 1}),
            "model.options: segformer has no option 'upsamplig'; did you mean 'upsampling'?",
        ),
        (
            smp("fpn", "tu-mobilenetv3_small_050", options={"depth_of": 3}),
            r"cannot make fpn on tu-.* with model.options=\{'depth_of': 3\} \(TypeError: .*depth_of",
        ),
        (smp("unet", options={"decoder_channels": [8]}), r"cannot make unet on mit_b0 .* \(ValueError: "),
        (
            smp(feature_layer="decoder.fuse"),
            "model.feature_layer='decoder.fuse' is no module of Segformer; .*fuse_stage",
        ),
    ],
)
def test_unknown_name_is_refused_with_those_that_exist(config: SmpConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(config, 5)


@pytest.mark.parametrize("option", ["classes", "encoder_weights", "activation", "aux_params"])
def test_option_that_the_run_decides_is_refused(option: str) -> None:
    with pytest.raises(ValidationError, match=f"{option} is not an option"):
        smp(options={option: None})


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ConfigError, match=r"install it with `pip install 'iapc\[smp\]'`"):
        build_network(smp(), 5)


def test_imagenet_weights_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for encoder in ("mit_b0", "tu-mobilenetv3_small_050"):
        with pytest.raises(ConfigError, match=f"model.imagenet: the weights of {encoder} cannot be downloaded"):
            build_network(smp(encoder=encoder), 5, imagenet=True)
